"""A model of two layers and random weights, and what it is asked to say: steps for tests, no speech."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from valle.models.ar_nar import ArNar
from valle.models.config import ModelConfig
from valle.request import Codes, Prompt, Request, Sentence
from valle.samplers.stack import Stack

STACK: dict[str, list[dict[str, Any]]] = {
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


def toy_model() -> ArNar:
    """Weights that are the same each time, sharpened so that distributions are neither flat nor certain."""
    torch.manual_seed(3)
    made = ArNar(ModelConfig(dim=32, layers=2, heads=2, ffn=64, languages=1))
    with torch.no_grad():
        for name, weight in made.named_parameters():
            if name.startswith("classifiers"):
                weight.mul_(40)
    return made.eval().requires_grad_(False)


def toy_codes() -> Codes:
    """A voice of 12 frames."""
    return np.random.default_rng(1).integers(0, 1024, (12, 8)).astype(np.int16)


def toy_request(seed: int, codec: str, voice: str = "", take: str = "take") -> Request:
    """Two sentences in that voice, at most 10 frames each."""
    return Request(
        sentences=SENTENCES,
        language="en",
        stack=Stack.from_dict(STACK),
        seed=seed,
        prompt=Prompt(toy_codes(), codec, voice),
        take=take,
        max_frames=10,
    )
