"""A session of every backbone: kept, made again, and what looks at attention refused where there is none."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from conftest import make_engine
from toy_model import STACK

from valle.control import Event, ScheduledControl
from valle.errors import UserError
from valle.inference import Engine
from valle.models.ar_nar import ArNar
from valle.models.backbones import BACKBONES
from valle.models.config import ModelConfig
from valle.request import Request
from valle.samplers.stack import Stack
from valle.step import Place
from valle_lab.session import schema
from valle_lab.session.convert import to_session_take
from valle_lab.session.replay import replay_take

GUIDED = Stack.from_dict({**STACK, "ar": [{"name": "guidance", "scale": 2.0, "on": False}, *STACK["ar"]]})


@pytest.fixture(scope="module", params=BACKBONES)
def engine(request: pytest.FixtureRequest) -> Engine:
    """Random weights, sharpened as those of the other tests are."""
    name = request.param
    torch.manual_seed(3)
    config = ModelConfig(
        dim=32,
        layers=2,
        heads=2,
        ffn=64,
        languages=1,
        architecture=name,
        experts=3 if name == "mixtral" else 1,
        capabilities=("ar", "nar", "len") if BACKBONES[name].looks_ahead else ("ar", "len"),
    )
    model = ArNar(config)
    with torch.no_grad():
        for key, weight in model.named_parameters():
            if key.startswith("classifiers"):
                weight.mul_(40)
    return make_engine(model.eval().requires_grad_(False))


@pytest.mark.parametrize("guided", [False, True])
def test_a_take_replays(engine: Engine, request_: Request, origin: schema.Origin, guided: bool) -> None:
    """Guidance that begins in mid-take joins a null pass to the state."""
    levels = 8 if "nar" in engine.model.config.capabilities else 1
    asked = replace(request_, max_levels=levels, stack=GUIDED)
    event = Event("switch", "guidance", True, Place(0, "ar", 0, 3))
    take = engine.generate(asked, ScheduledControl([event] if guided else [])).finish()
    made = [sum(len(codes) > 0 for codes in segment.levels) for segment in take.segments]
    assert made == [levels, levels]
    recorded = to_session_take(take, origin)
    assert len(recorded.events) == int(guided)
    for mode in ("exact", "forced"):
        judgement, _ = replay_take(recorded, engine, mode)
        assert judgement.verdict == "identical", judgement


def test_what_looks_at_attention(engine: Engine, request_: Request) -> None:
    asked = replace(request_, max_levels=1, stack=Stack.from_dict({**STACK, "ar": [{"name": "entropix"}]}))
    if engine.model.attends:
        assert engine.generate(asked).finish().segments[0].frames
        return
    with pytest.raises(UserError, match="looks at attention, and the model's backbone has none"):
        engine.generate(asked).finish()
    with pytest.raises(UserError, match=f"{engine.model.config.architecture} has no attention"):
        engine.observe(request_, 0, np.zeros(4, np.int16))


def test_a_model_of_level_0_says_what_it_cannot_do(engine: Engine, request_: Request) -> None:
    asked = engine.request("Yes.", seed=1, max_seconds=0.1)
    if "nar" in engine.model.config.capabilities:
        assert asked.max_levels == 8
        return
    assert asked.max_levels == 1
    with pytest.raises(UserError, match=r"it lacks levels above 0 \(nar\)\. Modes that it has: ar\+nar\."):
        engine.generate(replace(request_, max_levels=8)).finish()
