"""How a take was made: told in full, taken back for the next one, and said again on a command line."""

from __future__ import annotations

import json
import shlex
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from bench import Bench
from valle.adapter_use import AdapterUse
from valle.early_exit import EarlyExit
from valle.errors import UserError
from valle.request import NullBranch, Part, Prompt
from valle.samplers.stack import Stack
from valle_lab.lab import Lab
from valle_lab.lab.about import said_again, settings_between
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


def test_the_stack_of_a_fork_is_the_one_it_was_forked_with(bench: Bench) -> None:
    lab = bench.lab
    lab.run("stack.set", "temperature.value", 0.9)
    bench.speak()
    lab.run("stack.set", "temperature.value", 0.6)
    lab.run("fork.here", "3")
    bench.workers[0].allow(6)
    lab.poll()
    lab.run("stack.set", "temperature.value", 0.4)
    bench.workers[0].allow()
    lab.wait()

    def temperature() -> float:
        assert lab.stack is not None
        value: float = lab.stack.stages("ar")[0].to_dict()["value"]
        return value

    for take, wanted, changed in (("take-1", 0.9, False), ("take-2", 0.6, True)):
        bench.told()
        lab.run("take.recall", take)
        assert temperature() == wanted
        assert any("changed while it was made" in notice.text for notice in bench.told()) == changed


def retuned(lab: Lab) -> None:
    for line in (
        "voice.choose clear-man",
        "voice.trim 0.25 1.0",
        "voice.loop 3",
        "text.negative um",
        "voice.negative none",
        "layers.leave 2 0.5 0.5",
        "mode.history 1",
    ):
        lab.run_line(line)


def undone(lab: Lab) -> None:
    for line in ("voice.none", "text.negative", "voice.negative", "layers.all", "mode.reset"):
        lab.run_line(line)


@pytest.mark.parametrize("saved", [False, True], ids=["at once", "from a session"])
def test_the_part_of_the_voice_and_what_guidance_leads_away_from_come_back(
    bench: Bench, tmp_path: Path, saved: bool
) -> None:
    lab = bench.lab
    retuned(lab)
    bench.speak("One. Two")
    if saved:
        lab.run("session.save", str(tmp_path / "kept.json"))
        lab = Bench(tmp_path / "other").lab
        lab.run("session.open", str(tmp_path / "kept.json"))
    undone(lab)
    assert lab.part.is_whole and lab.early_exit is None
    lab.run("take.recall")
    assert (lab.resolved_voice(), lab.part) == ("clear-man", Part(0.25, 1.0, 3.0))
    assert (lab.negative_text, lab.negative_voice) == ("um", "none")
    assert (lab.early_exit, lab.manner.history) == (EarlyExit(2, 0.5, 0.5), 1)
    about = lab.run("take.about")
    assert about["part of the voice"] == "from 0.25 s, 1.00 s, repeated for 3 s"
    assert about["led away from"] == "text 'um', voice none"
    assert not any(notice.error for notice in lab.poll().notices)


def test_a_session_that_does_not_say_the_part_loads_and_says_so(bench: Bench, tmp_path: Path) -> None:
    retuned(bench.lab)
    bench.speak("One. Two")
    file = tmp_path / "kept.json"
    bench.lab.run("session.save", str(file))
    document = json.loads(file.read_text())
    assert document["takes"][0]["request"]["prompt"].pop("part")["start"] == 0.25
    file.write_text(json.dumps(document))
    after = Bench(tmp_path / "other")
    after.lab.run("session.open", str(file))
    after.told()
    after.lab.run("take.recall")
    assert after.lab.part.is_whole
    (lack,) = [notice.text for notice in after.told() if notice.error]
    assert lack == "Not as in take-1: which part of the voice's recording it had is not known."


def test_what_cannot_come_back_is_told(bench: Bench) -> None:
    lab = bench.lab
    retuned(lab)
    bench.speak()
    (take,) = lab.takes
    undone(lab)
    lab.adapters = (AdapterUse("warm", "a" * 64, 0.5), AdapterUse("dry", "b" * 64))
    assert take.begun is not None
    other = AdapterUse("cold", "c" * 64, 1.5)
    recipe = replace(take.begun.request.recipe, adapters=(replace(lab.adapters[0], strength=0.25), other))
    null = NullBranch("same", Prompt(np.zeros((9, 8), np.int16), "c" * 64, "gone"))
    request = replace(take.begun.request, recipe=replace(recipe, early_exit=EarlyExit(9)), null=null)
    take.begun = replace(take.begun, request=request)
    bench.told()
    lab.run("take.recall")
    assert [(use.name, use.strength) for use in lab.adapters] == [("warm", 0.25), ("dry", 0.0)]
    (lack,) = [notice.text for notice in bench.told() if notice.error]
    assert all(words in lack for words in ("cold at 1.5 is not loaded", "'gone'", "exit layer 9"))
    assert lab.early_exit is None and lab.negative_text is None


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
