"""Muon against the singular values it stands for and against torch's own, and what it computes in."""

from __future__ import annotations

from copy import deepcopy

import pytest
import torch
from torch import nn

from valle.training.muon import Muon, orthogonal
from valle.training.precision import fast_dtype, has_bfloat16, mixed


@pytest.mark.parametrize("shape", [(24, 24), (12, 40), (40, 12)])
def test_the_directions_of_a_matrix_stay_and_its_singular_values_come_near_one(
    shape: tuple[int, int],
) -> None:
    torch.manual_seed(0)
    matrix = torch.randn(shape)
    u, _, vh = torch.linalg.svd(matrix, full_matrices=False)
    inner = u.mT @ orthogonal(matrix).float() @ vh.mT
    values = inner.diagonal()
    assert values.min() > 0.6 and values.max() < 1.3
    assert (inner - torch.diag(values)).abs().max() < 0.03


def test_its_steps_are_those_of_torch() -> None:
    """torch's own iterates in bfloat16, so the two agree to the digits which that has."""
    torch.manual_seed(1)
    start = torch.randn(20, 12)
    ours, theirs = nn.Parameter(start.clone()), nn.Parameter(start.clone())
    own = Muon([ours], 0.02)
    other = torch.optim.Muon([theirs], 0.02, weight_decay=0.01, momentum=0.95)
    for _ in range(4):
        gradient = torch.randn(20, 12)
        ours.grad, theirs.grad = gradient.clone(), gradient.clone()
        own.step()
        other.step()
    torch.testing.assert_close(ours, theirs, atol=2e-3, rtol=0)
    assert (ours - start).abs().max() > 0.01


def test_a_state_that_was_saved_goes_on_alike() -> None:
    torch.manual_seed(2)
    first = nn.Parameter(torch.randn(6, 4))
    optimizer = Muon([first], 0.1)
    gradients = torch.randn(3, 6, 4)
    first.grad = gradients[0]
    optimizer.step()
    second = nn.Parameter(first.detach().clone())
    resumed = Muon([second], 0.1)
    resumed.load_state_dict(deepcopy(optimizer.state_dict()))
    for gradient in gradients[1:]:
        first.grad, second.grad = gradient.clone(), gradient.clone()
        optimizer.step()
        resumed.step()
    assert torch.equal(first, second)


def test_precision_is_what_was_asked_and_else_what_is_fast() -> None:
    product = nn.Linear(4, 4)
    made = {}
    for precision in ("float32", "bfloat16", "auto"):
        with mixed("cpu", precision):
            made[precision] = product(torch.ones(1, 4)).dtype
    assert made == {"float32": torch.float32, "bfloat16": torch.bfloat16, "auto": fast_dtype("cpu")}
    assert (fast_dtype("cpu") == torch.bfloat16) == has_bfloat16("cpu")
