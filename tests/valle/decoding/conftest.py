"""A tiny model with random weights, and requests for it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from valle.control import Control, NoControl
from valle.decoding.run import Run
from valle.decoding.speech import decode_speech
from valle.models.ar_nar import ArNar
from valle.models.config import ModelConfig
from valle.request import Prompt, Request, Sentence
from valle.samplers.stack import Stack
from valle.take import Take, assemble

STACK = {
    "ar": [
        {"name": "top_k", "k": 200},
        {"name": "top_p", "p": 0.95},
        {"name": "temperature", "value": 0.9},
        {"name": "draw"},
    ],
    "nar": [{"name": "greedy"}],
}
SENTENCES = (
    Sentence("One.", "wˈʌn.", (1, 20, 31, 42, 2)),
    Sentence("Two of them.", "tˈuː", (1, 51, 17, 42, 66, 23, 2)),
)


@pytest.fixture(scope="session")
def model() -> ArNar:
    """Two layers of random weights, sharpened so that distributions are neither flat nor certain."""
    torch.manual_seed(3)
    made = ArNar(ModelConfig(dim=32, layers=2, heads=2, ffn=64, languages=1))
    with torch.no_grad():
        for name, weight in made.named_parameters():
            if name.startswith("classifiers"):
                weight.mul_(40)
    return made.eval().requires_grad_(False)


@pytest.fixture
def request_() -> Request:
    """Two sentences in a voice of 12 frames, at most 10 frames each."""
    codes = np.random.default_rng(1).integers(0, 1024, (12, 8)).astype(np.int16)
    return Request(
        sentences=SENTENCES,
        language="en",
        stack=Stack.from_dict(STACK),
        seed=7,
        prompt=Prompt(codes, "codec"),
        max_frames=10,
    )


@pytest.fixture
def speak(model: ArNar, request_: Request) -> Callable[..., Take]:
    """Make a take of the request, with changes to it, under a control."""

    def made(control: Control | None = None, **changes: Any) -> Take:
        request = replace(request_, **changes)
        run = Run(request, control or NoControl(), vocabulary=model.config.stop + 1)
        return assemble(request, list(decode_speech(model, run, 0)))

    return made
