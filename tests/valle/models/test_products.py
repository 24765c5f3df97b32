"""A product gives what its weights give, from float32 or from float16, and other weights another product."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Iterator
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from tests.valle.models.conftest import TINY, RowMaker, random_model
from tests.valle.models.test_stepping import one_by_one, steps
from valle.models.arch import products
from valle.models.arch.products import halving_is_known, is_half, product

FUNCTIONS = ("fbgemm_pack_gemm_matrix_fp16", "fbgemm_linear_fp16_weight_fp32_activation")
EXACT = 11
"""Bits of the weights that float16 has, the hidden one included."""


@pytest.fixture
def fresh_answer() -> Iterator[None]:
    """What this PyTorch can do is found out anew, before and after."""
    halving_is_known.cache_clear()
    yield
    halving_is_known.cache_clear()


def exactly(hidden: Tensor, *weights: Tensor) -> Tensor:
    """The product by its definition, in float64."""
    return hidden.double() @ torch.cat(weights).double().T


@pytest.mark.parametrize("rows", [1, 2, 3, 7, 40])
@pytest.mark.parametrize("shapes", [[(12, 8)], [(8, 12)], [(8, 8), (5, 8), (17, 8)], [(1025, 192)]])
@pytest.mark.parametrize("half", [True, False])
def test_a_product_is_that_of_its_definition(rows: int, shapes: list[tuple[int, int]], half: bool) -> None:
    torch.manual_seed(rows)
    weights = [torch.randn(shape) for shape in shapes]
    weights = [weight.half().float() for weight in weights] if half else weights
    hidden = torch.randn(rows, shapes[0][1])
    found = product(*weights)(hidden)
    assert found.dtype == torch.float32
    assert float((found - exactly(hidden, *weights)).abs().max()) < 2e-6 * shapes[0][1]


def test_numbers_that_float16_has_not_are_not_rounded_to_it() -> None:
    fine = torch.tensor([[1.0 + 2.0**-EXACT]])
    assert is_half(torch.tensor([[1.0 + 2.0 ** (1 - EXACT)]])) and not is_half(fine)
    assert not is_half(torch.tensor([[1e6]])) and not is_half(torch.tensor([[1e-9]]))
    assert product(fine)(torch.ones(1, 1)).item() == fine.item()


def test_what_is_multiplied_is_not_rounded_to_float16() -> None:
    hidden = torch.tensor([[1.0 + 2.0**-20, 1e6]])
    weight = torch.tensor([[1.0, 0.0], [0.0, 1.0]])
    assert torch.equal(product(weight)(hidden), hidden)


@pytest.mark.parametrize("missing", FUNCTIONS)
def test_without_the_function_the_product_is_the_same(
    missing: str, fresh_answer: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(torch, missing)
    assert not halving_is_known()
    weight, hidden = torch.randn(9, 4).half().float(), torch.randn(2, 4)
    assert float((product(weight)(hidden) - exactly(hidden, weight)).abs().max()) < 1e-5


def test_a_processor_that_cannot_is_found_out(fresh_answer: None, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_arguments: object) -> Tensor:
        raise RuntimeError("not supported")

    monkeypatch.setattr(torch, FUNCTIONS[1], refuse)
    assert not halving_is_known()


def test_nobody_is_warned(fresh_answer: None) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        product(torch.ones(2, 2))(torch.ones(1, 2))


@torch.inference_mode()
def test_a_product_made_while_nothing_is_learnt_serves_later() -> None:
    weight = torch.randn(6, 3)
    assert not product(weight.clone())(torch.ones(1, 3)).requires_grad


@pytest.mark.parametrize("count", [1, 2])
def test_steps_of_float16_weights_are_those_of_the_blocks(
    count: int, make_row: RowMaker, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = random_model(replace(TINY, classifiers_bias=False))
    halved: list[int] = []
    plain = products._halved
    monkeypatch.setattr(products, "_halved", lambda weight: halved.append(len(weight)) or plain(weight))
    with torch.no_grad():
        for weight in model.parameters():
            weight.copy_(weight.half())
    rows = [make_row(4, 3, response=None), make_row(6, 2, response=None)][:count]
    given, expected = steps(model, rows), steps(one_by_one(model), rows)
    assert float((given - expected).abs().max()) < 1e-4 * float(expected.abs().max())
    assert not halving_is_known() or len(halved) >= 4 * model.config.layers + 1


def test_other_weights_are_another_product(make_row: RowMaker) -> None:
    model = random_model(replace(TINY, classifiers_bias=False))
    rows = [make_row(4, 3, response=None)]
    before = steps(model, rows)
    with torch.no_grad():
        for parameter in model.classifiers.parameters():
            parameter.mul_(2)
    torch.testing.assert_close(steps(model, rows), 2 * before)
    torch.testing.assert_close(steps(copy.deepcopy(model), rows), 2 * before)
