"""A take whose codebooks were written in turn: kept in a session, and made again from it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from conftest import make_engine
from toy_model import STACK

from valle.control import Event, ScheduledControl
from valle.inference import Engine
from valle.models.choice import model_of
from valle.models.config import ModelConfig
from valle.request import LEVELS, Request
from valle.samplers.stack import Stack
from valle.step import Place
from valle_lab.session import schema
from valle_lab.session.convert import from_session_take, to_session_take
from valle_lab.session.replay import replay_take

CONFIG = ModelConfig(
    dim=32,
    layers=2,
    heads=2,
    ffn=64,
    languages=1,
    capabilities=("ar",),
    interleave=True,
    audio_embedding_sums="none",
)
FRAMES = 3
GUIDED = Stack.from_dict({**STACK, "ar": [{"name": "guidance", "scale": 2.0}, *STACK["ar"]]})


def made(weights: float = 1.0) -> Engine:
    torch.manual_seed(3)
    model = model_of(CONFIG).eval().requires_grad_(False)
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if name.startswith("classifiers"):
                weight.mul_(40)
            if name == "model.layers.1.self_attn.q_proj.weight":
                weight.mul_(weights)
    return make_engine(model)


@pytest.fixture(scope="module")
def writing() -> Engine:
    return made()


@pytest.fixture
def asked(request_: Request) -> Request:
    return replace(request_, mode="interleaved", max_frames=FRAMES)


@pytest.mark.parametrize("changes", [{}, {"history": 1}, {"prompt": None}, {"stack": GUIDED}])
def test_it_is_kept_and_made_again(
    changes: dict[str, Any], writing: Engine, asked: Request, origin: schema.Origin
) -> None:
    take = writing.generate(replace(asked, **changes)).finish()
    record = to_session_take(take, origin)
    again = schema.Take.model_validate_json(record.model_dump_json())
    assert to_session_take(from_session_take(again), origin) == record
    for segment in take.segments:
        assert segment.codes().shape == (FRAMES, LEVELS)
    for mode in ("exact", "tolerant", "forced"):
        assert replay_take(again, writing, mode)[0].verdict == "identical"


def test_other_weights_and_other_noise_diverge(
    writing: Engine, asked: Request, origin: schema.Origin
) -> None:
    record = to_session_take(writing.generate(asked).finish(), origin)
    judgement, _ = replay_take(record, made(1.01), "tolerant")
    assert (judgement.verdict, judgement.kind) == ("diverged", "model")
    moved = record.model_copy(update={"request": record.request.model_copy(update={"seed": 5})})
    judgement, _ = replay_take(moved, writing, "tolerant")
    assert (judgement.verdict, judgement.kind) == ("diverged", "sampler")


@pytest.mark.parametrize("step", [0, 8, 13])
@pytest.mark.parametrize("kind", ["finish", "cancel"])
def test_it_may_end_in_the_middle_of_a_frame(
    step: int, kind: Any, writing: Engine, asked: Request, origin: schema.Origin
) -> None:
    control = ScheduledControl([Event(kind, place=Place(0, "ar", 0, step))])
    take = writing.generate(asked, control).finish()
    assert take.segments[0].frames == step // LEVELS, "a frame that is not whole is left out"
    record = schema.Take.model_validate_json(to_session_take(take, origin).model_dump_json())
    judgement, again = replay_take(record, writing, "exact")
    assert judgement.verdict == "identical"
    assert (again.stop == "cancel") == (kind == "cancel")
