"""The lab, ended in the middle of a sheet, a fork and a blind trial of the built-in voice; and a real A/B."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from real_lab import make_lab

from valle_lab.cli import main
from valle_lab.lab import Lab
from valle_lab.session.opinions import ratings_of
from valle_lab.session.save import load_session

TEXT = "Good night."
COMMON = f"""
import sys, time
sys.path[:0] = [{str(Path(__file__).parent / "doubles")!r}]
from real_lab import make_lab
lab = make_lab(sys.argv[1])
lab.start()
lab.wait()
lab.run("text.limit", 1)
lab.run("text.set", {TEXT!r})
lab.run("voice.none")
"""
SHEET = (
    COMMON
    + """
first = lab.run("sheet.make", 2, 5)
lab.wait()
lab.run("sheet.keep", first.takes[1].name)
lab.run("sheet.drop", first.takes[0].name)
lab.run("stack.set", "minimum_length.steps", 1500)
lab.run("text.limit", 20)
second = lab.run("sheet.make", 3, 9)
while True:
    lab.poll()
    print(min(len(take.steps) for take in second.takes), flush=True)
    time.sleep(0.1)
"""
)
FORK = (
    COMMON
    + """
lab.run("take.speak")
lab.wait()
lab.run("text.limit", 20)
lab.run("stack.set", "minimum_length.steps", 1500)
fork = lab.run("fork.here", "10")
while True:
    lab.poll()
    print(len(fork.steps), flush=True)
    time.sleep(0.1)
"""
)
TRIAL = (
    COMMON
    + """
lab.run("ab.hold")
lab.run("stack.set", "temperature.value", 0.3)
for blind in (0, 1):
    lab.run("trial.speak")
    lab.wait()
    lab.run("trial.play", "X")
    lab.run("trial.play", "Y")
    if not blind:
        lab.run("trial.choose", "Y")
        print(lab.trial.view().key[1][1], lab.comparison is None, flush=True)
lab.run("take.rate", 4)
print("ready", flush=True)
time.sleep(600)
"""
)


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Lab]:
    made = make_lab(tmp_path)
    yield made
    made.close(discard=True)


def killed_after(script: str, folder: Path, enough: Callable[[str], bool]) -> list[str]:
    """What a lab printed until it was killed, at the first line that is enough."""
    command = [sys.executable, "-c", script, str(folder)]
    printed: list[str] = []
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None and process.stderr is not None
        while not printed or not enough(printed[-1]):
            line = process.stdout.readline()
            assert line, process.stderr.read()
            printed.append(line.strip())
        process.kill()
    return printed


def test_a_sheet_that_is_killed_is_there_after_the_restart(
    tmp_path: Path, lab: Lab, capsys: pytest.CaptureFixture[str]
) -> None:
    """What was whole replays as its batch to the bit, and alone; what was broken off as far as it came."""
    polled = int(killed_after(SHEET, tmp_path, lambda line: int(line) > 9)[-1])
    lab.start()
    lab.wait()
    lab.run("session.restore")
    assert [take.seed for take in lab.takes] == [5, 6, 9, 10, 11]
    assert [(take.kept, take.hidden) for take in lab.takes[:2]] == [(False, True), (True, False)]
    assert all(len(take.steps) > polled for take in lab.takes[2:])
    second = lab.run("sheet.open")
    lab.wait()
    assert {row.seed: row.stop for row in second.view().rows} == dict.fromkeys((9, 10, 11), "cancel")
    assert [row.kept for row in lab.run("sheet.open", "take-2").view().rows] == [False, True]
    saved = str(lab.run("session.save", str(tmp_path / "saved.json")))
    assert {r.scale: r.value for r in ratings_of(load_session(saved).takes[1])} == {"kept": 1}
    capsys.readouterr()
    assert main(["replay", saved, "--mode", "exact", "--json"]) == 0
    reports = json.loads(capsys.readouterr().out)
    assert [report["batch"] for report in reports] == [2, 2, 3, 3, 3]
    assert [report["evidence_difference"] for report in reports[:2]] == [0.0, 0.0]
    assert main(["replay", saved, "--take", "take-2", "--alone", "--json"]) in (0, 3)
    assert json.loads(capsys.readouterr().out)[0]["batch"] == 0


def test_a_fork_that_is_killed_is_there_after_the_restart(
    tmp_path: Path, lab: Lab, capsys: pytest.CaptureFixture[str]
) -> None:
    """It goes on from its parent, and replays exactly as far as it came."""
    polled = int(killed_after(FORK, tmp_path, lambda line: int(line) > 20)[-1])
    lab.start()
    lab.wait()
    lab.run("session.restore")
    parent, fork = lab.takes
    assert fork.parent == parent.name and fork.fork is not None and fork.fork.step == 10
    assert len(fork.steps) >= polled and fork.stop == "cancel"
    before, after = parent.segments[0].levels[0], fork.segments[0].levels[0]
    assert (before[:10] == after[:10]).all()
    saved = str(lab.run("session.save", str(tmp_path / "saved.json")))
    capsys.readouterr()
    assert main(["replay", saved, "--mode", "exact"]) == 0


def test_a_trial_that_is_killed_keeps_what_was_chosen(
    tmp_path: Path, lab: Lab, capsys: pytest.CaptureFixture[str]
) -> None:
    chosen = killed_after(TRIAL, tmp_path, lambda line: line == "ready")[0].split()[0]
    (journal,) = tmp_path.glob("*.jsonl")
    capsys.readouterr()
    assert main(["wins", str(journal), "--json"]) == 0
    (contest,) = json.loads(capsys.readouterr().out)
    assert {contest["one"], contest["other"]} == {"temperature.value 0.9", "temperature.value 0.3"}
    lab.start()
    lab.wait()
    lab.run("session.restore")
    decided, undecided = lab.run("trial.list")
    assert decided.order is not None and decided.order[1] == chosen and decided.choice == "Y"
    assert (undecided.order, undecided.salt, undecided.choice) == (None, None, None)
    assert lab.takes[-1].rating == 4 or lab.takes[-2].rating == 4
    found = lab.run("ab.takes", *decided.takes)
    assert found.same_noise and found.parting is not None
    first, second = (lab.find(take) for take in found.takes)
    assert first is not None and second is not None
    one, other = first.segments[0].levels[0], second.segments[0].levels[0]
    step = found.parting.step
    assert (one[:step] == other[:step]).all() and one[step] != other[step]
    lab.run("trial.resume")
    lab.wait()
    assert lab.trial is not None and lab.trial.view().ready and lab.trial.name == undecided.name
