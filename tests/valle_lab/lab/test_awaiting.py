"""A take that is asked for while the model is loaded begins once it is there, or says that it will not."""

from __future__ import annotations

import io
from pathlib import Path

import pytest

from bench import Bench
from valle.errors import UserError
from valle_lab.lab import Lab
from valle_lab.repl import Repl


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    """A lab whose model is loaded when a test says so."""
    return Bench(tmp_path, hold_load=True)


def told(lab: Lab) -> str:
    return "\n".join(notice.text for notice in lab.poll().notices)


def test_the_take_begins_with_the_model(bench: Bench) -> None:
    lab = bench.lab
    assert lab.run("take.speak", "Too early.") is None and not lab.takes
    assert told(lab) == "The take begins as soon as the model is loaded; take.stop (escape) takes it back."
    assert lab.busy
    bench.workers[0].finish_loading()
    assert "The model is there: take-1 has begun." in told(lab)
    bench.workers[0].allow()
    lab.wait()
    assert [(take.text, take.stop) for take in lab.takes] == [("Too early.", "stop")]


def test_a_later_wish_takes_the_place_of_the_earlier(bench: Bench) -> None:
    lab = bench.lab
    lab.run("take.speak", "One.")
    lab.run("take.speak", "Two.")
    lab.run("seed.set", 5)
    bench.workers[0].finish_loading()
    lab.poll()
    assert [(take.text, take.seed) for take in lab.takes] == [("Two.", 5)]


@pytest.mark.parametrize("command", ["take.stop", "take.cancel"])
def test_it_is_taken_back(bench: Bench, command: str) -> None:
    lab = bench.lab
    lab.run("take.speak", "Too early.")
    lab.run(command)
    assert "was taken back" in told(lab)
    with pytest.raises(UserError, match="no take is being made"):
        lab.run(command)
    bench.workers[0].finish_loading()
    lab.wait()
    assert not lab.takes and lab.description is not None


def test_it_will_not_begin_without_a_model(bench: Bench) -> None:
    lab = bench.lab
    lab.run("take.speak", "Too early.")
    told(lab)
    bench.workers[0].fail_loading("The file is broken.")
    assert told(lab) == "The file is broken.\nThe take that waited for the model will not begin."
    lab.wait()
    assert not lab.takes
    with pytest.raises(UserError, match="no model is loaded"):
        lab.run("take.speak", "Again.")


def test_its_text_is_the_one_that_is_there_by_then(bench: Bench) -> None:
    lab = bench.lab
    lab.run("text.set", "Half a")
    lab.run("take.speak")
    lab.run("text.set", "Half a sentence.")
    bench.workers[0].finish_loading()
    lab.poll()
    assert [take.text for take in lab.takes] == ["Half a sentence."]


def test_without_a_text_by_then_nothing_begins(bench: Bench) -> None:
    lab = bench.lab
    lab.run("take.speak")
    bench.workers[0].finish_loading()
    assert "There is no text to speak." in told(lab)
    assert not lab.takes and not lab.works


def test_a_line_that_speaks_waits_for_the_model_itself(bench: Bench) -> None:
    bench.lab.run("take.speak", "Too early.")
    bench.workers[0].finish_loading()
    bench.workers[0].allow()
    out = io.StringIO()
    repl = Repl(bench.lab, out, io.StringIO())
    repl.run_script(["wait", "take.speak Then this."], "script")
    assert [take.text for take in bench.lab.takes] == ["Too early.", "Then this."]
