"""A tiny engine with random weights that speaks ids, and takes that it made."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from toy_model import STACK, toy_model, toy_request

from valle.checkpoints.details import CodecName, Details
from valle.checkpoints.loading import LoadedModel
from valle.control import Control
from valle.inference import Engine
from valle.models.ar_nar import ArNar
from valle.request import Recipe, Request
from valle.take import Take
from valle.text.tokens import Tokenizer
from valle_lab.session import schema
from valle_lab.session.convert import to_session_take
from valle_lab.session.origin import environment

sys.path.insert(0, str(Path(__file__).parent))


@dataclass(frozen=True)
class ToyCodec:
    """A sample a frame."""

    name: str = "toy"
    hash: str = "c" * 64

    def decode(self, codes: np.ndarray) -> np.ndarray:
        return (codes.sum(axis=1) / 8192).astype(np.float32)


def make_engine(model: ArNar, model_hash: str = "a" * 64) -> Engine:
    details = Details(
        config=model.config,
        codec=CodecName("toy", ToyCodec.hash),
        symbols=Tokenizer.builtin().to_dict(),
        languages={"en": 0},
        default_stacks=STACK,
    )
    loaded = LoadedModel(model, details, model_hash)
    return Engine(loaded, ToyCodec(), Recipe(threads=1), "toy")  # type: ignore[arg-type]


@pytest.fixture(scope="session")
def engine() -> Engine:
    return make_engine(toy_model())


@pytest.fixture(scope="session")
def other_engine() -> Engine:
    """The same model with one matrix of a middle layer a hundredth larger."""
    model = toy_model()
    with torch.no_grad():
        matrices = [weight for name, weight in model.named_parameters() if ".1." in name and weight.ndim == 2]
        matrices[0].mul_(1.01)
    return make_engine(model, "b" * 64)


@pytest.fixture(scope="session")
def request_() -> Request:
    """Two sentences in a voice of 12 frames that was named by its path, at most 10 frames each."""
    return toy_request(2**64 - 1, ToyCodec.hash, "somewhere/voice.wav", "take-1")


@pytest.fixture(scope="session")
def origin() -> schema.Origin:
    return schema.Origin(
        model=schema.Content(name="toy", sha256="a" * 64, release="toys 1"),
        codec=schema.Content(name="toy", sha256=ToyCodec.hash),
        tokenizer=schema.Content(name="toy", sha256="d" * 64),
        environment=environment("1.51"),
    )


@pytest.fixture(scope="session")
def speak(engine: Engine, request_: Request) -> Callable[..., Take]:
    """Make a take of the request, with changes to it, under a control, reading so many steps."""

    def made(control: Control | None = None, steps: int | None = None, **changes: Any) -> Take:
        generation = engine.generate(replace(request_, **changes), control)
        for _ in range(10_000 if steps is None else steps):
            if next(generation, None) is None:
                break
        return generation.take

    return made


@pytest.fixture(scope="session")
def record(speak: Callable[..., Take], origin: schema.Origin) -> Callable[..., schema.Take]:
    """The same as a session keeps it."""
    return lambda *arguments, **changes: to_session_take(speak(*arguments, **changes), origin)


@pytest.fixture(scope="session")
def session(record: Callable[..., schema.Take]) -> schema.Session:
    return schema.new_session(record())
