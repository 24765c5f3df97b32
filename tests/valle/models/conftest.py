"""Tiny random models, and rows of every kind for them."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch

from valle.models.ar_nar import ArNar
from valle.models.base import Inputs
from valle.models.config import ModelConfig

TINY = ModelConfig(
    dim=24, layers=2, heads=2, ffn=40, version=6, audio_tokens=50, phoneme_tokens=20, text_tokens=30
)

RowMaker = Callable[..., Inputs]


def random_model(config: ModelConfig) -> ArNar:
    """A model whose weights are large enough that every part of it matters."""
    torch.manual_seed(0)
    model = ArNar(config).eval()
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "norm" not in name:
                parameter.normal_(0.0, 0.3)
    return model


@pytest.fixture(scope="session")
def model() -> ArNar:
    return random_model(TINY)


@pytest.fixture
def make_row() -> RowMaker:
    """Make rows with random ids; the number of phonemes, prompt frames and response frames are chosen."""
    generator = torch.Generator().manual_seed(7)

    def ids(limit: int, *shape: int) -> torch.Tensor:
        return torch.randint(0, limit, shape, generator=generator)

    def make(phonemes: int = 5, prompt: int = 6, frames: int = 4, **others: object) -> Inputs:
        given: dict[str, object] = {
            "phonemes": ids(20, phonemes),
            "text": ids(30, phonemes + 1),
            "language": 1,
            "prompt": ids(50, prompt, 8) if prompt else None,
            "response": ids(50, frames, 8),
        }
        return Inputs(**{**given, **others})  # type: ignore[arg-type]

    return make


@pytest.fixture
def mixed_rows(make_row: RowMaker) -> list[Inputs]:
    """Rows of different task, level, length and conditions."""
    return [
        make_row(5, 6, 7),
        make_row(8, 0, 3, level=0, language=None),
        make_row(4, 9, 5, level=3),
        make_row(6, 2, 9, level=7),
        make_row(3, 4, 6, masked=True),
        make_row(7, 5, task="len", digits=torch.tensor([0, 4, 2])),
        make_row(6, 0, 8, task="stt"),
        make_row(5, 0, task="phn"),
        make_row(4, 0, task="un-phn"),
    ]
