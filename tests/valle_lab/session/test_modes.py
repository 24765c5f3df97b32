"""Every mode and task: kept in a session, and made again from it."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import ToyCodec
from pydantic import ValidationError
from toy_model import STACK, toy_codes

from valle.control import Event, ScheduledControl
from valle.inference import Engine
from valle.modes import Demasking
from valle.request import Prefix, Prompt, Request
from valle.samplers.stack import Stack
from valle.step import Place
from valle.take import Take
from valle_lab.session import schema
from valle_lab.session.base import Array, array_document
from valle_lab.session.convert import from_session_take, to_session_take
from valle_lab.session.fold import fold_journal
from valle_lab.session.journal import Journal
from valle_lab.session.replay import replay_take
from valle_lab.worker.steps import step_from_frame, step_to_frame

DRAWN = [{"name": "temperature", "value": 1.2}, {"name": "draw"}]
GREEDY = [{"name": "greedy"}]
STACKS = Stack.from_dict({**STACK, "len": GREEDY, "nar_len": DRAWN, "stt": DRAWN})
SOURCES = (Prompt(toy_codes(), ToyCodec.hash), Prompt(toy_codes()[:5], ToyCodec.hash))
FIVE = Demasking(steps=5, frames=8)
LENGTH = [{"name": "minimum_length", "steps": 4}, {"name": "logit_bias", "biases": {"1024": 99.0}}]
STOPPING = Stack.from_dict({**STACK, "ar": [*LENGTH, *STACK["ar"]]})

MODES: dict[str, dict[str, Any]] = {
    "nar-len": {"mode": "nar-len", "demasking": Demasking(steps=4)},
    "nar-len, no remasking": {"mode": "nar-len", "demasking": replace(FIVE, remasking=False, noise=3.0)},
    "nar-len, as the reference": {
        "mode": "nar-len",
        "demasking": replace(FIVE, confidence="best", confidence_of="final"),
    },
    "ar+nar-len": {"mode": "ar+nar-len", "ar_frames": 3, "demasking": FIVE},
    "revoiced": {"mode": "nar", "sources": SOURCES},
    "converted": {"mode": "nar-len", "sources": SOURCES, "demasking": Demasking(steps=3, start=0.5)},
    "history": {"history": 1, "between": (4,)},
    "prefix": {"prefix": None, "between": (4,)},
    "refined": {"refine": True, "stack": STOPPING},
    "no voice": {"prompt": None},
    "ns": {"task": "ns"},
    "stt": {"task": "stt", "sources": SOURCES},
    "len": {"task": "len"},
}


def asked(request: Request, name: str) -> Request:
    changes = {"stack": STACKS, **MODES[name]}
    if name == "prefix":
        changes["prefix"] = Prefix(request.sentences[0], toy_codes()[:6], ToyCodec.hash)
    return replace(request, **changes)


def recorded(engine: Engine, request: Request, origin: schema.Origin, control: Any = None) -> schema.Take:
    return to_session_take(engine.generate(request, control).finish(), origin)


@pytest.fixture(autouse=True)
def short_texts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("valle.decoding.text.MOST_IDS", 12)


@pytest.mark.parametrize("name", MODES)
def test_a_mode_is_kept_and_made_again(
    name: str, engine: Engine, request_: Request, origin: schema.Origin
) -> None:
    request = asked(request_, name)
    take = engine.generate(request).finish()
    record = to_session_take(take, origin)
    again = schema.Take.model_validate_json(record.model_dump_json())
    loaded = from_session_take(again)
    assert to_session_take(loaded, origin) == record
    assert loaded.stop == take.stop != "cancel"
    assert replay_take(again, engine, "exact")[0].verdict == "identical"
    assert replay_take(again, engine, "tolerant")[0].verdict == "identical"


@pytest.mark.parametrize("name", ["nar-len", "ar+nar-len", "converted", "refined"])
def test_another_model_diverges(
    name: str, engine: Engine, other_engine: Engine, request_: Request, origin: schema.Origin
) -> None:
    record = recorded(engine, asked(request_, name), origin)
    judgement, _ = replay_take(record, other_engine, "tolerant")
    assert (judgement.verdict, judgement.kind) == ("diverged", "model")


@pytest.mark.parametrize("name", ["nar-len", "converted", "refined"])
def test_the_noise_of_another_seed_diverges(
    name: str, engine: Engine, request_: Request, origin: schema.Origin
) -> None:
    record = recorded(engine, asked(request_, name), origin)
    moved = record.model_copy(update={"request": record.request.model_copy(update={"seed": 5})})
    judgement, _ = replay_take(moved, engine, "tolerant")
    assert (judgement.verdict, judgement.kind) == ("diverged", "sampler")


@pytest.mark.parametrize(
    ("name", "place"),
    [
        ("nar-len", Place(0, "nar_len", 0, 2)),
        ("nar-len", Place(0, "len", 0, 0)),
        ("ar+nar-len", Place(0, "ar", 0, 2)),
        ("ar+nar-len", Place(1, "nar_len", 0, 0)),
        ("revoiced", Place(1, "nar", 3, 0)),
        ("refined", Place(0, "refine", 0, 0)),
        ("stt", Place(1, "stt", 0, 1)),
    ],
)
@pytest.mark.parametrize("kind", ["finish", "cancel"])
def test_an_event_ends_a_phase_and_is_made_again(
    name: str, place: Place, kind: Any, engine: Engine, request_: Request, origin: schema.Origin
) -> None:
    control = ScheduledControl([Event(kind, place=place)])
    record = recorded(engine, asked(request_, name), origin, control)
    assert not control.never_met()
    judgement, take = replay_take(record, engine, "exact")
    assert judgement.verdict == "identical"
    assert (take.stop == "cancel") == (kind == "cancel")


@pytest.mark.parametrize("name", ["nar-len", "ar+nar-len", "revoiced", "refined", "stt", "len"])
@pytest.mark.parametrize("steps", [1, 2, 4, 9, 14])
def test_a_take_that_was_left_is_made_again_as_far_as_it_came(
    name: str, steps: int, engine: Engine, request_: Request, origin: schema.Origin
) -> None:
    generation = engine.generate(asked(request_, name))
    for _ in zip(range(steps), generation, strict=False):
        pass
    take: Take = generation.take
    record = to_session_take(take, origin)
    judgement, again = replay_take(record, engine, "tolerant")
    assert judgement.verdict == "identical"
    assert len(again.steps) in (len(take.steps), len(take.steps) + 1)
    assert [segment.codes().tolist() for segment in again.segments if segment.frames] == [
        segment.codes().tolist() for segment in take.segments if segment.frames
    ]


def test_refining_keeps_the_likelier_version(
    engine: Engine, request_: Request, origin: schema.Origin
) -> None:
    request = asked(request_, "refined")
    forced = ScheduledControl([Event("force", value=7, place=Place(0, "ar", 0, 1))])
    cold = replace(request, stack=request.stack.set("temperature.value", 0.2))
    takes = [engine.generate(request).finish(), engine.generate(cold, forced).finish()]
    for take, hypothesis in zip(takes, (0, 32_767), strict=True):
        place = Place(0, "refine", 0, 0)
        (step,) = (step for step in take.steps if step.place == place)
        written = [step.tokens[0] for step in take.steps if step.place.phase == "ar"][: len(step.tokens)]
        assert step.hypothesis == hypothesis
        assert (step.tokens.tolist() == written) == (hypothesis == 0)
        assert np.array_equal(take.segments[0].levels[0], step.tokens)
        (other,) = step.others
        assert len(other.codes) == len(step.tokens) and other.hypothesis != hypothesis
        assert replay_take(to_session_take(take, origin), engine, "tolerant")[0].verdict == "identical"


@pytest.mark.parametrize("name", ["nar-len", "ar+nar-len", "refined", "stt"])
def test_a_journal_and_a_frame_carry_every_phase(
    name: str, engine: Engine, request_: Request, origin: schema.Origin, tmp_path: Path
) -> None:
    take = engine.generate(asked(request_, name)).finish()
    steps = [step_from_frame(step_to_frame(step, 1)) for step in take.steps]
    with Journal(tmp_path / "a.jsonl") as journal:
        journal.begin(take.request, origin)
        for step in steps:
            journal.step(step)
        journal.end(take.request.take, take.seconds)
    folded = fold_journal((tmp_path / "a.jsonl").read_bytes(), "a journal").take()
    assert folded == to_session_take(take, origin)


def test_a_code_that_no_codebook_has_is_refused(
    engine: Engine, request_: Request, origin: schema.Origin
) -> None:
    document = json.loads(recorded(engine, asked(request_, "nar-len"), origin).model_dump_json())
    trace = next(item for item in document["segments"][0]["traces"] if item["phase"] == "nar_len")
    tokens = Array.model_validate_json(json.dumps(trace["tokens"])).values().copy()
    tokens[0, 0] = 1025
    trace["tokens"] = array_document(tokens, "int16")
    with pytest.raises(ValidationError, match="nar_len decides ids up to 1024, not 1025"):
        schema.Take.model_validate_json(json.dumps(document))


def test_level_0_that_nobody_gave_is_refused(
    engine: Engine, request_: Request, origin: schema.Origin
) -> None:
    document = json.loads(recorded(engine, asked(request_, "revoiced"), origin).model_dump_json())
    document["request"]["sources"][0] = document["request"]["sources"][1]
    with pytest.raises(ValidationError, match=r"levels\[0\] is not what the traces say"):
        schema.Take.model_validate_json(json.dumps(document))
