"""Every backbone with attention takes every backend, in steps of a padded batch, in passes, in training."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
import torch
from torch import Tensor

from tests.valle.models.attention import stand_ins
from tests.valle.models.conftest import RowMaker
from valle.errors import UserError
from valle.models.ar_nar import ArNar
from valle.models.arch import BACKBONES
from valle.models.arch.attention import BACKENDS, use_attention
from valle.models.base import Inputs
from valle.models.config import ModelConfig

BACKBONES_HERE = [name for name, backbone in BACKBONES.items() if backbone.attends]
OTHERS = [name for name in BACKENDS if name != "math"]
TOKENS = torch.tensor([3, 44])


@pytest.fixture(scope="module")
def models() -> dict[str, ArNar]:
    torch.manual_seed(0)
    found = {}
    for name in BACKBONES_HERE:
        config = ModelConfig(
            **{"dim": 24, "layers": 2, "heads": 2, "ffn": 40, "audio_tokens": 50, "phoneme_tokens": 20},
            capabilities=("ar", "nar"),
            architecture=name,
            experts=4 if name == "mixtral" else 1,
        )
        found[name] = ArNar(config).eval()
        for parameter in found[name].parameters():
            if parameter.ndim > 1:
                torch.nn.init.normal_(parameter, 0.0, 0.3)
    return found


@dataclass(frozen=True)
class Batches:
    """Rows that a batch of steps begins with, and rows of a pass, some causal and some full."""

    begun: list[Inputs]
    mixed: list[Inputs]


@pytest.fixture
def batches(make_row: RowMaker) -> Batches:
    begun = [make_row(5, 6, response=None), make_row(9, 0, response=None)]
    return Batches(begun, [make_row(5, 6, 7), make_row(9, 3, 4, level=2)])


def generated(model: ArNar, batches: Batches) -> list[Tensor]:
    """Logits of a step of a batch that is padded in front, and of a pass over one padded behind."""
    cache, logits = model.begin(batches.begun, 1)
    return [logits, model.advance(cache, TOKENS), *model.full(batches.mixed)]


def trained(model: ArNar, batches: Batches) -> dict[str, Tensor]:
    """The gradients that a padded batch gives every weight of the backbone."""
    model.zero_grad()
    model.loss(batches.mixed).mean.backward()
    return {name: weight.grad for name, weight in model.model.named_parameters() if weight.grad is not None}


def agree(found: list[Tensor], wanted: list[Tensor]) -> bool:
    return all(torch.allclose(*pair, rtol=0.0, atol=1e-4) for pair in zip(found, wanted, strict=True))


def test_the_matrix_is_whole() -> None:
    """A new backend or backbone gets into it by itself."""
    assert len(BACKBONES_HERE) == 4 and len(OTHERS) == 12
    assert {name for name in OTHERS if BACKENDS[name].tested == "untested on a device"} == {*stand_ins.NAMES}


@pytest.mark.parametrize("backend", OTHERS)
@pytest.mark.parametrize("backbone", BACKBONES_HERE)
def test_a_backbone_by_a_backend(
    backbone: str,
    backend: str,
    models: dict[str, ArNar],
    batches: Batches,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    model = models[backbone]
    use_attention(model, "math")
    wanted, gradients = generated(model, batches), trained(model, batches)
    if backend in stand_ins.NAMES:
        stand_ins.install(monkeypatch, backend)
    use_attention(model, backend)
    assert agree(generated(model, batches), wanted)
    if backend == "flex":
        with pytest.raises(UserError, match="no gradients on the CPU"):
            trained(model, batches)
        return
    found = trained(model, batches)
    assert found.keys() == gradients.keys()
    assert agree(list(found.values()), list(gradients.values()))
