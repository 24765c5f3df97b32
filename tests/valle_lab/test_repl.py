"""The lab on a line: results, errors of one line, scripts, Ctrl-C, completion and the prompt itself."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from prompt_toolkit.application import create_app_session
from prompt_toolkit.completion import CompleteEvent
from prompt_toolkit.document import Document
from prompt_toolkit.input import create_pipe_input
from prompt_toolkit.output import DummyOutput

from bench import Bench
from valle.errors import UserError
from valle_lab import waiting as module
from valle_lab.repl import Repl, ScriptError
from valle_lab.repl_prompt import LabCompleter, converse


class Typed:
    """A REPL over a lab with a fake worker, and what it printed."""

    def __init__(self, folder: Path) -> None:
        self.bench = Bench(folder)
        self.bench.workers[0].allow()
        self.out, self.err = io.StringIO(), io.StringIO()
        self.progress: list[str] = []
        self.repl = Repl(self.bench.lab, self.out, self.err, self.progress.append)

    def __call__(self, *lines: str) -> str:
        """Do lines; what they printed."""
        self.out.seek(0)
        self.out.truncate()
        for line in lines:
            self.repl.do(line)
        return self.out.getvalue()


@pytest.fixture
def typed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Typed:
    monkeypatch.setattr(module, "PAUSE", 0.0)
    monkeypatch.chdir(tmp_path)
    return Typed(tmp_path)


def test_a_take_is_waited_for_shown_and_listed(typed: Typed) -> None:
    assert (
        typed("seed.set 7", "take.speak Some [red]words[/].") == "take-1, stop, 0.48 s, seed 7, voice anna\n"
    )
    assert "Some [red]words[/]." in typed("take.list")
    assert typed.progress[-1] == ""
    assert typed("take.rate 4", "take.list").splitlines()[1].split()[5] == "4"


def test_no_key_is_told_of_where_there_is_none(typed: Typed) -> None:
    typed.bench.workers[-1].kill()
    typed("take.list")
    typed.repl.waiting.until(lambda: True)
    assert "SIGKILL; model.restart starts it again; takes and session are kept." in typed.err.getvalue()


def test_every_view_has_words(typed: Typed) -> None:
    typed("take.speak A few words more, to see something.", "stack.set temperature.value 0.9")
    shown = typed("view.step 5")
    for part in ("take-1 0/ar.0:5:", "by draw", "(min_p)", "top_k", "-inf", "chosen", "cumulative"):
        assert part in shown
    assert "was taken; this stack takes" in typed("whatif.step 5")
    assert "entropy, raw, bits: 69 decisions" in typed("view.timeline")
    assert len(typed("view.levels").splitlines()) == 8
    attention = typed("view.attention 3")
    assert "decision 3 of" in attention and "read along by 2.1 (0.60)" in attention
    for line, parts in (
        ("view.waterfall 5", ("take-1 0/ar.0:5:", "(min_p)", "kept")),
        ("view.histogram 5", ("take-1 0/ar.0:5:", "-inf", "chosen")),
        ("view.candidates 5", ("take-1 0/ar.0:5:", "cumulative")),
        ("view.nar 3 2", ("take-1 0/nar.3:0 position 2:",)),
        ("view.head 2 1 4", ("layer 2 head 1 at decision 4 of", "###", "prompt, 75 frames", "response, 4")),
        ("view.alignment", ("segment 0, 0.92 s, read along by 2.1 (0.60)", "0.03 s  ")),
        ("view.codes 3", ("frames 3 to 16 of 68", "frame       3    4    5", "level 7 ")),
        ("view.sound", ("0.91 s, peak 0.10, -23.0 dB",)),
    ):
        shown = typed(line)
        assert all(part in shown for part in parts), shown
        assert max(map(len, shown.splitlines())) <= 80
    assert len(typed("view.alignment").splitlines()) == 1 + len(typed.bench.lab.takes[0].text) - 1
    for line, told in (
        ("view.timeline joy", "no measure 'joy'"),
        ("view.nar 8", "no pass of level 8 in segment 0"),
        ("view.nar 3 68", "decided the frames 0 to 67, not 68"),
        ("view.codes 99", "frames 0 to 67, not 99"),
        ("view.codes 0 4", "take-1 has no segment 4"),
        ("view.step 900", "decisions 0 to 68, not 900"),
        ("view.attention 3 9", "no segment 9"),
    ):
        with pytest.raises(UserError, match=told):
            typed(line)


def test_events_are_marked_under_the_timeline(typed: Typed) -> None:
    typed.bench.workers[0].allow(0)
    typed("take.speak A few words. &")
    typed.bench.workers[0].allow(5)
    while typed.bench.workers[0].allowed:
        typed.bench.lab.poll()
    typed("stack.set temperature.value 0.5 &")
    typed.bench.workers[0].allow()
    assert typed("view.timeline").splitlines()[-1].strip() == "^"


def test_what_is_behind_is_not_waited_for(typed: Typed) -> None:
    typed.bench.workers[0].allow(0)
    assert "running" in typed("take.speak Some words. &")
    typed.bench.workers[0].allow()
    typed("wait")
    assert typed.bench.lab.takes[0].stop == "stop"


@pytest.mark.parametrize("times", [1, 2])
def test_ctrl_c_stops_the_take_and_a_second_one_breaks_it_off(
    typed: Typed, monkeypatch: pytest.MonkeyPatch, times: int
) -> None:
    worker = typed.bench.workers[0]
    worker.allow(4)
    presses = [True] * times

    def sleep(seconds: float) -> None:
        if worker.allowed == 0 and presses:
            presses.pop()
            raise KeyboardInterrupt
        if not presses:
            worker.allow()

    monkeypatch.setattr(module.time, "sleep", sleep)
    typed("take.speak A long text that would go on.")
    (take,) = typed.bench.lab.takes
    assert take.stop == ("finish" if times == 1 else "cancel") and take.take.frames == 4
    assert "take-1: AR frame 4, 6.7 bits, 100 steps/s" in typed.progress
    monkeypatch.setattr(module.time, "sleep", lambda seconds: None)
    assert "stop" in typed("take.speak Again.")


def test_help_tells_of_all_of_an_area_and_of_one(typed: Typed) -> None:
    everything = typed("help")
    for item in typed.repl.commands:
        assert item.name in everything and item.help in everything
    assert "key on the screen: ctrl+g" in typed("help take.speak")
    assert "stack.curve name curve" in typed("help stack") and "take." not in typed("help stack")
    with pytest.raises(UserError, match=r"did you mean take\.cancel"):
        typed("help take.cancle")


def test_a_script_stops_at_the_first_line_that_cannot_be_done(typed: Typed, tmp_path: Path) -> None:
    (tmp_path / "part.txt").write_text("# nothing\n\ntext.set Sourced words.\n")
    typed.repl.run_script(["source part.txt", "take.speak", "quit", "take.speak again"], "mine")
    assert [take.text for take in typed.bench.lab.takes] == ["Sourced words."]
    typed.repl.over = False
    with pytest.raises(ScriptError, match=r"^mine, line 2: .*nobody") as error:
        typed.repl.run_script(["seed.set 1", "voice.choose nobody", "seed.set 2"], "mine")
    assert "\n" not in str(error.value) and typed.bench.lab.seed == 1
    with pytest.raises(UserError, match="cannot be read"):
        typed("source nowhere.txt")


def test_dead_workers_and_other_news_are_told(typed: Typed) -> None:
    typed.bench.workers[0].kill()
    typed("seed.set 1")
    assert "ended by SIGKILL" in typed.err.getvalue()
    with pytest.raises(UserError, match="no model is loaded"):
        typed("take.speak More.")


def completions(typed: Typed, text: str) -> list[str]:
    found = LabCompleter(typed.repl).get_completions(Document(text), CompleteEvent())
    return [item.text for item in found]


def test_commands_and_arguments_are_completed(typed: Typed) -> None:
    assert completions(typed, "take.sp") == ["take.speak"]
    assert "voice.choose" in completions(typed, "voice")
    assert completions(typed, "text.language d") == ["de"]
    assert "temperature" in completions(typed, "stack.remove t")
    assert "temperature.value" in completions(typed, "stack.set temp")
    assert completions(typed, "text.set something") == completions(typed, "no.such x") == []
    typed("take.speak Some words.")
    assert completions(typed, "take.rate 3 ") == ["take-1"]


def test_the_prompt_goes_on_after_errors_and_leaves_at_the_end(
    typed: Typed, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("platformdirs.user_data_path", lambda name: tmp_path / "data")
    with create_pipe_input() as pipe, create_app_session(input=pipe, output=DummyOutput()):
        pipe.send_text("nonsense\rtake.speak Hello.\r\x03seed.set 9\rquit\r")
        converse(typed.repl)
    assert typed.bench.lab.seed == 9 and len(typed.bench.lab.takes) == 1
    assert "There is no command 'nonsense'" in capsys.readouterr().err
    assert "take.speak Hello." in (tmp_path / "data" / "repl-history").read_text()
