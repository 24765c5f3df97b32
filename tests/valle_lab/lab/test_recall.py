"""How a take was made: told in full, taken back for the next one, and said again on a command line."""

from __future__ import annotations

import shlex

import pytest

from bench import Bench
from valle.errors import UserError
from valle.samplers.stack import Stack
from valle_lab.lab.recall import said_again, settings_between
from valle_lab.text_views import in_words

USUAL = Stack.from_dict({"ar": [{"name": "temperature", "value": 0.9}, {"name": "draw"}]})
LONG = "This text is longer than any line of a list of takes, and is to be read to its very end."


def test_all_about_a_take_is_told_in_full(bench: Bench) -> None:
    lab = bench.lab
    bench.speak(LONG, steps=2)
    lab.run("stack.set", "temperature.value", 0.6)
    bench.workers[0].allow()
    lab.wait()
    lab.run("take.note", "too fast")
    told = "\n".join(in_words(lab.run("take.about")))
    for part in (
        f"text = {LONG}",
        "seed = ",
        "notes = \n    too fast",
        "0/ar.0:2 set ar:temperature.value 0.6",
    ):
        assert part in told
    assert "\n    draw" in told and "nar_len" not in told, "the lists of its own phases"
    lab.run("take.transcribe")
    lab.wait()
    about = lab.run("take.about", "take-2")
    assert about["answer"] == lab.takes[1].answer and "seconds" not in about


def test_the_settings_of_a_take_come_back(bench: Bench) -> None:
    lab = bench.lab
    lab.run("stack.set", "top_k.k", 9)
    lab.run("voice.choose", "clear-man")
    bench.speak("One. Two")
    (take,) = lab.takes
    stack = lab.stack
    for name, *arguments in (
        ("text.set", "Other words"),
        ("text.limit", 9.0),
        ("voice.none",),
        ("stack.reset",),
        ("mode.task", "stt"),
    ):
        lab.run(name, *arguments)
    lab.run("take.recall")
    assert (lab.text, lab.voice, lab.seed) == ("One. Two", "clear-man", take.seed)
    assert take.begun is not None and lab.max_seconds == take.begun.request.max_frames / 75 != 9.0
    assert lab.manner.task == "tts" and lab.manner.mode is None
    assert stack is not None and lab.stack is not None
    assert lab.stack.stages("ar") == stack.stages("ar")
    lab.run("stack.undo")
    assert lab.stack.stages("ar") != stack.stages("ar")
    bench.workers[0].allow(0)
    lab.run("take.speak", "Three")
    with pytest.raises(UserError, match="stop it first"):
        lab.run("take.recall")


@pytest.mark.parametrize(
    "changes",
    [
        ["ar:top_k.k=20", "ar:temperature.value=0.5"],
        ["ar:temperature.on=false"],
        ['ar:temperature.value={"curve": "linear", "values": [1.0, 0.5], "end": 20}'],
        ['ar:temperature.when={"measure": "entropy", "above": 3.0}'],
        ["ar:mirostat.target=4"],
    ],
)
def test_a_stack_is_said_by_its_settings(changes: list[str]) -> None:
    after = USUAL
    for change in changes:
        after = after.set_text(change)
    settings = settings_between(USUAL, after)
    assert settings is not None and settings_between(USUAL, USUAL) == []
    made = USUAL
    for setting in settings:
        made = made.set_text(setting)
    assert made.effective_dict() == after.effective_dict() != USUAL.effective_dict()


def test_what_no_settings_lead_to_is_said(bench: Bench) -> None:
    assert settings_between(USUAL, USUAL.remove("temperature")) is None
    bench.lab.run("stack.set", "temperature.value", 0.5)
    bench.speak("It's one")
    (take,) = bench.lab.takes
    assert bench.lab.description is not None
    words = shlex.split(said_again(take, bench.lab.description.default_stack))
    assert words[:3] == ["valle-lab", "say", "It's one"]
    assert words[words.index("--set") + 1] == "ar:temperature.value=0.5"
    assert "no --set leads to" in said_again(take, bench.lab.description.default_stack.add("ar:top_k"))
