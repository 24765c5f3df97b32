"""What the reference gets wrong about guidance and is right here: one test for each defect, by number."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from tests.valle.samplers.examples import NEVER, random_logits
from valle.samplers import Stack
from valle.samplers.rows import Rows
from valle.samplers.sampler import Sampler

CONDITIONAL = torch.tensor([[2.0, 0.0, -1.0]])
NULL = torch.tensor([[1.0, 1.0, 0.0]])


def guided(conditional: Tensor, null: Tensor, phase: str = "ar", step: Any = 0, **parameters: Any) -> Tensor:
    """The logits after guidance alone."""
    stage = {"name": "guidance", **parameters}
    sampler = Sampler(Stack.from_dict({phase: [stage, {"name": "greedy"}]}), phase)
    return sampler.final(conditional, Rows.of(phase, len(conditional), step=step, null=null))


def test_guided_logits_are_a_result_of_their_own() -> None:
    """Defect 44: its result is thrown away, and works only because it writes into what it was given."""
    conditional, null = CONDITIONAL.clone(), NULL.clone()
    assert guided(conditional, null, scale=3.0).tolist() == [[4.0, -2.0, -3.0]]
    assert torch.equal(conditional, CONDITIONAL) and torch.equal(null, NULL)


def test_rescaling_looks_at_one_row_and_at_what_can_be_taken() -> None:
    """Defect 45: its deviation is over all rows and classes, and NaN with a banned id.

    Golden: 4, -2, -3 rescaled by .75 is 2.21042, -1.10521, -1.65781.
    """
    alone = guided(CONDITIONAL, NULL, scale=3.0, rescale=0.75)
    assert alone[0].tolist() == pytest.approx([2.21042, -1.10521, -1.65781], abs=1e-5)
    other = torch.cat([CONDITIONAL, 50 * CONDITIONAL])
    assert torch.equal(guided(other, NULL.expand(2, -1), scale=3.0, rescale=0.75)[:1], alone)
    banned = guided(
        torch.cat([CONDITIONAL, torch.tensor([[NEVER]])], 1),
        torch.cat([NULL, torch.tensor([[5.0]])], 1),
        scale=3.0,
        rescale=0.75,
    )
    assert torch.allclose(banned[:, :3], alone) and banned[0, 3] == NEVER


def test_a_scale_that_is_annealed_is_used() -> None:
    """Defect 46: it computes an annealed scale and uses another."""
    conditional, null = random_logits(3, 9, 1), random_logits(3, 9, 2)
    falling = {"curve": "linear", "values": [3.0, 1.0], "end": 10}
    found = guided(conditional, null, "nar_len", [0, 5, 10], scale=falling)
    scale = torch.tensor([[3.0], [2.0], [1.0]])
    assert torch.allclose(found, null + scale * (conditional - null), atol=1e-5)


def test_guidance_that_is_off_is_off_in_every_phase() -> None:
    """Defect 47: its masked decoding forces a strength of 2.5 at least."""
    stack = Stack.from_dict({"nar_len": [{"name": "guidance", "scale": 1.0}, {"name": "greedy"}]})
    assert not stack.effective("nar_len")[0].runs
    assert "null" not in Sampler(stack, "nar_len").needs
    assert torch.equal(guided(CONDITIONAL, NULL, "nar_len", scale=1.0), CONDITIONAL)


@pytest.mark.parametrize("scale", [0.0, 0.25, 0.5, 0.99, 1.0, 1.01, 2.0])
def test_the_scale_has_no_jump(scale: float) -> None:
    """Defect 48: its strength 0 is off, but .5 is half way to the null pass."""
    found = guided(CONDITIONAL, NULL, scale=scale)
    assert torch.allclose(found, NULL + scale * (CONDITIONAL - NULL), atol=1e-6)
