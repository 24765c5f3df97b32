"""Guided takes: what the null pass was given is kept in full, replays, and is missed where it is another."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from valle.control import Event, ScheduledControl
from valle.inference import Engine
from valle.request import NullBranch, Prompt, Recipe, Sentence
from valle.samplers import Stack
from valle.step import Place
from valle_lab.session import schema
from valle_lab.session.base import Array
from valle_lab.session.convert import from_session_take
from valle_lab.session.judge import Mode
from valle_lab.session.replay import check_fits, replay_take
from valle_lab.session.save import SessionError, parse_session, session_text

Record = Callable[..., schema.Take]
OVER_ALL = {"rescale": 0.7, "rescale_over": "sequence"}
STACK = Stack.from_dict(
    {
        "ar": [
            {"name": "guidance", "scale": 2.0, **OVER_ALL},
            {"name": "top_p", "p": 0.95},
            {"name": "draw"},
        ],
        "nar": [{"name": "guidance", "scale": 1.5, **OVER_ALL}, {"name": "draw"}],
    }
)
LATER = STACK.set("guidance.on", False)
ON = Event("set", "guidance.on", True, Place(0, "ar", 0, 4))
CODES = np.random.default_rng(2).integers(0, 1024, (9, 8)).astype(np.int16)
OTHER_TEXT = Sentence("Three.", "θɹˈiː", (1, 30, 31, 32, 33, 34, 35, 36, 37, 38, 2))
BRANCHES = {
    "nothing": NullBranch(),
    "no voice": NullBranch("same", "none"),
    "another text": NullBranch(OTHER_TEXT, "same"),
    "another voice": NullBranch("same", Prompt(CODES, "c" * 64, "another")),
}


def through_a_file(record: schema.Take) -> schema.Take:
    return parse_session(session_text(schema.new_session(record)).encode(), "a session").take()


@pytest.mark.parametrize("name", BRANCHES)
@pytest.mark.parametrize("passes", ["one batch", "two passes"])
def test_a_guided_take_replays(record: Record, engine: Engine, name: str, passes: Any) -> None:
    made = record(ScheduledControl([ON]), stack=LATER, null=BRANCHES[name], recipe=Recipe(guidance=passes))
    kept = through_a_file(made)
    null = from_session_take(kept).request.null
    assert null.text == BRANCHES[name].text
    if isinstance(null.voice, Prompt):
        assert np.array_equal(null.voice.codes, CODES) and null.voice.voice == "another"
    judgement, take = replay_take(kept, engine, "exact")
    assert (judgement.verdict, judgement.evidence_difference) == ("identical", 0.0)
    assert take.request.recipe.guidance == passes
    guided = [step.place for step in take.steps if step.null_evidence is not None]
    assert guided[0] == ON.place and {place.phase for place in guided} == {"ar", "nar"}


@pytest.mark.parametrize("mode", ["tolerant", "forced"])
def test_a_null_pass_of_another_text_is_another_model(record: Record, engine: Engine, mode: Mode) -> None:
    made = record(stack=STACK, null=BRANCHES["another text"])
    text = made.request.null.text
    assert isinstance(text, schema.Sentence)
    ids = text.ids.values().copy()
    ids[3] += 1
    other = text.model_copy(update={"ids": Array.of(ids, "int32")})
    null = made.request.null.model_copy(update={"text": other})
    request = made.request.model_copy(update={"null": null})
    judgement, _ = replay_take(made.model_copy(update={"request": request}), engine, mode)
    assert (judgement.verdict, judgement.kind) == ("diverged", "model")
    assert judgement.first_divergence is not None and judgement.first_divergence.step == 0


def test_without_the_null_pass_it_is_another_model(record: Record, engine: Engine) -> None:
    made = record(stack=STACK)
    stack = STACK.set("guidance.on", False).set("nar:guidance.on", False).to_dict()
    request = made.request.model_copy(update={"stack": stack})
    judgement, _ = replay_take(made.model_copy(update={"request": request}), engine, "forced")
    assert (judgement.verdict, judgement.kind) == ("diverged", "model")


def test_another_scale_is_another_sampler(record: Record, engine: Engine) -> None:
    made = record(stack=STACK)
    request = made.request.model_copy(update={"stack": STACK.set("guidance.scale", 6.0).to_dict()})
    judgement, _ = replay_take(made.model_copy(update={"request": request}), engine, "tolerant")
    assert (judgement.verdict, judgement.kind) == ("diverged", "sampler")


def test_the_other_recipe_is_benign_at_most(record: Record, engine: Engine) -> None:
    made = record(stack=STACK, null=BRANCHES["another text"], max_frames=30)
    recipe = made.request.recipe.model_copy(update={"guidance": "two passes"})
    request = made.request.model_copy(update={"recipe": recipe})
    judgement, _ = replay_take(made.model_copy(update={"request": request}), engine, "tolerant")
    assert judgement.verdict in ("identical", "benign")
    assert judgement.evidence_difference < 1e-3


def test_a_session_from_before_there_was_guidance_can_be_read(record: Record) -> None:
    document = session_text(schema.new_session(record()))
    old = document.replace(
        document[document.index('"null": {') : document.index("}", document.index('"null": {')) + 1],
        '"nothing": {}',
    )
    assert old != document
    assert parse_session(old.encode(), "a session").take().request.null == schema.NullBranch()


def test_what_the_engine_cannot_use_is_told(record: Record, engine: Engine) -> None:
    made = record(null=BRANCHES["another voice"], stack=STACK)
    voice = made.request.null.voice
    assert isinstance(voice, schema.Prompt)
    null = schema.NullBranch(text="same", voice=voice.model_copy(update={"codec": "e" * 64}))
    request = made.request.model_copy(update={"null": null})
    with pytest.raises(Exception, match="another codec"):
        check_fits(made.model_copy(update={"request": request}), engine)
    text = session_text(schema.new_session(made))
    with pytest.raises(SessionError, match="null"):
        parse_session(text.replace('"text": "same"', '"text": "sane"').encode(), "a session")
