"""A step that is written out: what the blocks would answer one by one, in all that can be asked of them."""

from __future__ import annotations

import copy
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from tests.valle.models.conftest import TINY, RowMaker, random_model
from valle.models.adapters import Adapter, AdapterShape, Attached, Form, Matrices, fresh
from valle.models.ar_nar import ArNar
from valle.models.arch.attention import use_attention
from valle.models.arch.llama import Block
from valle.models.arch.stepping import unit
from valle.models.base import Inputs

TOKENS = torch.tensor([[5, 9], [2, 30], [17, 3], [44, 0]])


class Seen:
    """Queries and keys of all layers and passes."""

    def __init__(self) -> None:
        self.shown: list[Tensor] = []

    def attention(self, layer: int, query: Tensor, key: Tensor) -> None:
        self.shown += [torch.tensor(layer), query.clone(), key.clone()]


def steps(model: ArNar, rows: list[Inputs], seen: Seen | None = None) -> Tensor:
    cache, _ = model.begin(rows, len(TOKENS))
    return torch.stack([model.advance(cache, token[: len(rows)], seen) for token in TOKENS])


def one_by_one(model: ArNar) -> ArNar:
    """The same model with its blocks called: a hook makes them more than their weights, and does nothing."""
    other = copy.deepcopy(model)
    for module in other.modules():
        if isinstance(module, Block):
            module.register_forward_hook(lambda _module, _inputs, _output: None)
    return other


def counted(model: ArNar, monkeypatch: pytest.MonkeyPatch) -> list[None]:
    """Grows by one with every block that is called."""
    made: list[None] = []
    plain = Block.forward

    def forward(self: Block, *arguments: object) -> Tensor:
        made.append(None)
        return plain(self, *arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(Block, "forward", forward)
    return made


@pytest.mark.parametrize("count", [1, 2])
@pytest.mark.parametrize("forward", [(), (0,)])
@pytest.mark.parametrize("backend", ["auto", "eager"])
def test_a_step_is_what_the_blocks_answer_one_by_one(
    count: int, forward: tuple[int, ...], backend: str, make_row: RowMaker
) -> None:
    model = random_model(replace(TINY, forward_attention=forward))
    use_attention(model, backend)
    rows = [make_row(4, 3, response=None), make_row(6, 2, response=None)][:count]
    seen, wanted = Seen(), Seen()
    given = steps(model, rows, seen)
    expected = steps(one_by_one(model), rows, wanted)
    assert float((given - expected).abs().max()) < 1e-4 * float(expected.abs().max())
    assert len(seen.shown) == 3 * TINY.layers * len(TOKENS)
    for one, other in zip(seen.shown, wanted.shown, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-4)


def test_no_block_is_called_in_a_step(
    model: ArNar, make_row: RowMaker, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = counted(model, monkeypatch)
    cache, _ = model.begin([make_row(4, 3, response=None)], len(TOKENS))
    begun = len(made)
    assert begun == TINY.layers
    for token in TOKENS:
        model.advance(cache, token[:1])
    assert len(made) == begun
    half = copy.deepcopy(model).to(torch.bfloat16)
    cache, _ = half.begin([make_row(4, 3, response=None)], 1)
    half.advance(cache, TOKENS[0, :1])
    assert len(made) == begun + 2 * TINY.layers


@pytest.mark.parametrize("form", ["parametrize", "linear"])
def test_an_adapter_may_change_its_strength_from_step_to_step(
    form: Form, model: ArNar, make_row: RowMaker
) -> None:
    adapted, row = copy.deepcopy(model), make_row(4, 3, response=None)
    shape = fresh(adapted, "a", AdapterShape(rank=2))
    layers = {
        name: Matrices(each.down, torch.randn_like(each.up) * 0.3) for name, each in shape.layers.items()
    }
    attached = Attached(adapted, form)
    attached.add(Adapter("a", shape.shape, layers))

    def told(model: ArNar, strengths: tuple[float, ...]) -> list[Tensor]:
        cache, _ = model.begin([row], len(TOKENS))
        answers = []
        for token, strength in zip(TOKENS, strengths, strict=True):
            attached.act({"a": strength}, "ar", 0)
            answers.append(model.advance(cache, token[:1]))
        return answers

    attached.act({"a": 0.0}, "ar", 0)
    at_rest = told(adapted, (0.0,) * 4)
    changed = told(adapted, (0.0, 0.0, 1.0, 1.0))
    assert torch.equal(torch.cat(changed[:2]), torch.cat(at_rest[:2]))
    assert float((changed[2] - at_rest[2]).abs().max()) > 0.1


def test_unit_is_the_formula() -> None:
    torch.manual_seed(3)
    for rows in (1, 3):
        hidden, weight = 100 * torch.randn(rows, 24), torch.rand(24)
        wide = hidden.double()
        wanted = wide / (wide.square().mean(-1, keepdim=True) + 1e-6).sqrt() * weight.double()
        assert float((unit(hidden, weight) - wanted).abs().max()) < 1e-6
    assert torch.equal(unit(torch.zeros(1, 24), torch.ones(24)), torch.zeros(1, 24))
