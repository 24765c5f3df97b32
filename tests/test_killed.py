"""The lab, its model process and `say`, ended in the middle of a take of the built-in voice."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from real_lab import PATIENCE, make_lab, wait_until

from valle_lab.cli import main
from valle_lab.lab import Lab
from valle_lab.session.save import load_session
from valle_lab.tui.app import POLLS_PER_SECOND
from valle_lab.worker.client import WorkerClient

TEXT = "A long and quiet sentence that will be broken off before anybody hears how it would have ended."
NEVER_ENDING = ("stack.set", "minimum_length.steps", 1500)
ENOUGH = 30

LAB = f"""
import sys, time
sys.path[:0] = [{str(Path(__file__).parent)!r}, {str(Path(__file__).parent / "doubles")!r}]
from real_lab import make_lab
from test_killed import NEVER_ENDING, TEXT
lab = make_lab(sys.argv[1])
lab.start()
lab.wait()
lab.run(*NEVER_ENDING)
take = lab.run("take.speak", TEXT)
while True:
    lab.poll()
    print(lab.worker.process_id, len(take.steps), flush=True)
    time.sleep(1 / {POLLS_PER_SECOND})
"""


def lives(process: int) -> bool:
    """Whether it runs; one that has ended may stay listed where nobody asks after orphans."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(process, 0)
        status = Path(f"/proc/{process}/stat")
        return not (status.exists() and status.read_text().rpartition(")")[2].split()[0] == "Z")
    return False


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Lab]:
    made = make_lab(tmp_path)
    yield made
    made.close(discard=True)


def test_a_killed_lab_has_everything_up_to_its_last_poll_in_the_journal(tmp_path: Path, lab: Lab) -> None:
    """It polls ten times a second, so that no more than the last tenth of a second can be missing."""
    assert POLLS_PER_SECOND >= 10
    command = [sys.executable, "-c", LAB, str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None and process.stderr is not None
        worker = polled = 0
        while polled < ENOUGH:
            line = process.stdout.readline()
            assert line, process.stderr.read()
            worker, polled = map(int, line.split())
        process.kill()
    (journal,) = tmp_path.glob("*.jsonl")
    assert load_session(journal).take().segments[0].levels[0].shape[0] >= polled
    wait_until(lambda: not lives(worker))

    lab.start()
    told = [notice.text for notice in lab.poll().notices]
    assert any(journal.stem in text and "session.restore" in text for text in told), told
    lab.run("session.restore")
    assert lab.chosen is not None and len(lab.chosen.steps) > polled
    saved = lab.run("session.save", str(tmp_path / "saved.json"))
    assert load_session(saved).take().events[-1].kind == "cancel"
    assert main(["replay", str(saved), "--mode", "exact"]) == 0


def test_a_killed_model_process_is_one_line_and_its_take_replays(tmp_path: Path, lab: Lab) -> None:
    lab.start()
    lab.wait()
    lab.run(*NEVER_ENDING)
    take = lab.run("take.speak", TEXT)
    wait_until(lambda: lab.poll() and len(take.steps) >= ENOUGH)
    assert isinstance(lab.worker, WorkerClient)
    os.kill(lab.worker.process_id, signal.SIGKILL)
    told: list[str] = []

    def over() -> bool:
        told.extend(notice.text for notice in lab.poll().notices)
        return not take.running

    wait_until(over)
    over()
    assert len(told) == 1 and "SIGKILL" in told[0] and "model.restart" in told[0], told
    saved = lab.run("session.save", str(tmp_path / "saved.json"))
    kept = load_session(saved).take().segments[0]
    assert kept.stop == "cancel"
    assert kept.levels[0].values().tolist() == [int(step.tokens[0]) for step in take.steps]
    assert main(["replay", str(saved), "--mode", "exact"]) == 0


@pytest.mark.parametrize(
    ("sent", "code", "left"), [(signal.SIGINT, 130, "a.json"), (signal.SIGKILL, -9, "a.jsonl")]
)
def test_say_that_is_ended_leaves_what_replays(
    sent: signal.Signals, code: int, left: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    options = ("--set", "minimum_length.steps=9000", "--max-duration", "120", "--threads", "1")
    command = [sys.executable, "-m", "valle_lab", "say", TEXT, *options, "--out", "a.wav"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        journal = tmp_path / "a.jsonl"
        wait_until(lambda: journal.is_file() and journal.read_bytes().count(b"\n") > ENOUGH)
        process.send_signal(sent)
        _, error = process.communicate(timeout=PATIENCE)
    assert process.returncode == code
    assert len(error.splitlines()) == (sent == signal.SIGINT) == error.count("interrupted")
    assert [path.name for path in tmp_path.iterdir()] == [left]
    take = load_session(left).take()
    assert take.segments[0].levels[0].shape[0] >= ENOUGH - 3 and take.events[-1].kind == "cancel"
    assert main(["replay", left, "--mode", "exact"]) == 0
    assert main(["say", "Next.", "--max-duration", "0.1", "--out", "a.wav"]) == 0
    assert (tmp_path / left).is_file()
