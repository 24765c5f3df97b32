"""Positions that leave early and catch up later: against passes over the whole."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from valle.errors import UserError
from valle.models.ar_nar import ArNar
from valle.models.base import Inputs
from valle.models.config import ModelConfig
from valle.models.staggered import Staggered

CONFIG = ModelConfig(dim=32, layers=4, heads=2, ffn=64, languages=1)
ROW = Inputs(phonemes=torch.tensor([1, 20, 31, 2]), language=0, prompt=torch.arange(40).view(5, 8))


def made(architecture: str = "llama") -> ArNar:
    torch.manual_seed(8)
    experts = 4 if architecture == "mixtral" else 1
    return ArNar(replace(CONFIG, architecture=architecture, experts=experts)).eval().requires_grad_(False)


def whole(model: ArNar, tokens: list[int]) -> torch.Tensor:
    """The logits after the last token, by one pass without a cache."""
    return model.full([replace(ROW, response=torch.tensor(tokens)[:, None])])[0][-1]


@pytest.mark.parametrize("architecture", ["llama", "mixtral", "bitnet", "transformer"])
def test_a_step_through_all_layers_is_that_of_a_pass_without_cache(architecture: str) -> None:
    model = made(architecture)
    row = Staggered(model, ROW, 12)
    assert torch.allclose(row.first[0], whole(model, []), atol=1e-5)
    tokens: list[int] = []
    for token, depth in ((5, 1), (6, 3), (7, 2), (8, 4), (9, 4), (10, 2), (11, 1), (12, 4)):
        tokens.append(token)
        row.append(torch.tensor([token]))
        row.deepen(depth)
        if depth == model.config.layers:
            assert torch.allclose(row.answer()[0], whole(model, tokens), atol=2e-5), token
            assert row.waiting == 0
    assert row.waiting == 0


def test_an_early_answer_is_that_of_a_model_without_the_later_layers() -> None:
    model = made()
    shallow = ArNar(replace(CONFIG, layers=2)).eval()
    names = shallow.state_dict().keys()
    shallow.load_state_dict({name: weight for name, weight in model.state_dict().items() if name in names})
    row = Staggered(model, ROW, 5)
    tokens = []
    for token in (5, 6, 7):
        tokens.append(token)
        row.append(torch.tensor([token]))
        row.deepen(2)
        assert torch.allclose(row.answer()[0], whole(shallow, tokens), atol=1e-5)
    assert row.waiting == 3
    row.deepen(4)
    answers = row.answer(3)
    assert torch.allclose(answers[0], whole(model, [5]), atol=2e-5)
    assert torch.allclose(answers[2], whole(model, [5, 6, 7]), atol=2e-5)


def test_positions_are_taken_back() -> None:
    model = made()
    row = Staggered(model, ROW, 8)
    for token in (5, 6, 7, 8):
        row.append(torch.tensor([token]))
        row.deepen(1)
    row.deepen(4)
    row.back(2)
    row.append(torch.tensor([9]))
    row.deepen(1)
    row.append(torch.tensor([3]))
    row.deepen(4)
    assert torch.allclose(row.answer()[0], whole(model, [5, 6, 9, 3]), atol=2e-5)


def test_a_backbone_without_attention_is_refused() -> None:
    with pytest.raises(UserError, match="retnet cannot be left at an early layer"):
        Staggered(made("retnet"), ROW, 4)
