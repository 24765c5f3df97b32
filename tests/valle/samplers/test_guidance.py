"""Guidance: by hand, as transformers does it, as the reference does it where it is right, and its states."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import load_file
from torch import Tensor

from tests.valle.samplers.examples import NEVER, random_logits
from valle.samplers import Stack, StackError
from valle.samplers.functions.guidance import GuidanceState
from valle.samplers.rows import Rows
from valle.samplers.sampler import Sampler, States, pick

GOLDEN = Path(__file__).parents[2] / "data/parity/a_released/golden.safetensors"
WIDE: dict[str, Any] = {"rescale": 0.7, "rescale_over": "sequence"}


def sampler(phase: str = "ar", **parameters: Any) -> Sampler:
    stages = [{"name": "guidance", **parameters}, {"name": "greedy"}]
    return Sampler(Stack.from_dict({phase: stages}), phase, 1 if phase == "nar" else 0)


def guided(conditional: Tensor, null: Tensor, **parameters: Any) -> Tensor:
    """Rows of ar, each the first of its sequence."""
    return sampler(**parameters).final(conditional, Rows.of("ar", len(conditional), null=null))


def one(conditional: list[float], null: list[float], **parameters: Any) -> list[float]:
    return guided(torch.tensor([conditional]), torch.tensor([null]), **parameters)[0].tolist()


def step_by_step(
    conditional: Tensor, null: Tensor, scales: list[float], states: States | None = None
) -> Tensor:
    """The guided rows of one take of ar, each with its scale, rescaled over the sequence so far."""
    final = []
    for step, scale in enumerate(scales):
        rows = Rows.of("ar", step=step, null=null[step : step + 1])
        at_work = sampler(scale=scale, **WIDE)
        final.append(at_work.final(conditional[step : step + 1], rows, states))
        states = at_work.decide(conditional[step : step + 1], rows, states).states
    return torch.cat(final)


def rescaled_by_hand(conditional: Tensor, null: Tensor, scale: float, rescale: float = 0.7) -> Tensor:
    """Lin et al. 2023 over all that is given, in float64."""
    c, n = conditional.double(), null.double()
    out = n + (c - n) * scale
    return (out * (rescale * c.std() / out.std() + 1.0 - rescale)).float()


def test_three_times_away_from_the_null_pass() -> None:
    assert one([2.0, 0.0, -1.0], [1.0, 1.0, 0.0], scale=3.0) == pytest.approx([4.0, -2.0, -3.0])
    assert one([2.0, 0.0, -1.0], [1.0, 1.0, 0.0], scale=0.0) == pytest.approx([1.0, 1.0, 0.0])


@pytest.mark.parametrize("scale", [1.5, 3.0])
def test_both_processors_of_transformers_do_the_same(scale: float) -> None:
    from transformers import generation

    conditional, null = random_logits(5, 300, 1), random_logits(5, 300, 2)
    batched = generation.ClassifierFreeGuidanceLogitsProcessor(scale)
    theirs = batched(torch.zeros(5, 1), torch.cat((conditional, null)))
    assert torch.allclose(guided(conditional, null, scale=scale), theirs, atol=1e-5)
    unbatched = generation.UnbatchedClassifierFreeGuidanceLogitsProcessor(scale, model=None)
    unbatched.get_unconditional_logits = lambda _: null[:, None]
    of_log_probabilities = unbatched(torch.zeros(5, 1), conditional)
    ours = guided(conditional, null, scale=scale, log_softmax=True)
    assert torch.allclose(ours, of_log_probabilities, atol=1e-4)
    assert torch.allclose(ours.softmax(-1), theirs.softmax(-1), atol=1e-5)


def test_the_blend_of_the_papers_authors() -> None:
    conditional, null = random_logits(3, 50, 3), random_logits(3, 50, 4)
    mixed = 0.7 * (null + 3 * (conditional - null)).log_softmax(-1) + 0.3 * conditional.log_softmax(-1)
    assert torch.allclose(guided(conditional, null, scale=3.0, blend=0.7), mixed, atol=1e-4)


def test_the_guided_row_picks_the_candidates() -> None:
    conditional, null = [3.0, 2.0, 1.0, 0.0], [3.0, 0.0, 1.0, 0.0]
    assert one(conditional, null, scale=3.0, candidates=2) == pytest.approx([3.0, 6.0, NEVER, NEVER])
    # Only picked, as in Dia: the conditional probabilities of those two.
    kept = one(conditional, null, scale=3.0, candidates=2, blend=0.0)
    assert kept[2:] == [NEVER, NEVER] and kept[0] - kept[1] == pytest.approx(1.0)


def test_rescaled_over_the_row() -> None:
    conditional, null = random_logits(4, 200, 5), random_logits(4, 200, 6)
    final = guided(conditional, null, scale=2.5, rescale=0.7)
    for row in range(4):
        by_hand = rescaled_by_hand(conditional[row], null[row], 2.5)
        assert torch.allclose(final[row], by_hand, atol=1e-4)
    full = guided(conditional, null, scale=2.5, rescale=1.0)
    assert torch.allclose(full.std(-1), conditional.std(-1), atol=1e-4)


def test_rescaled_over_the_sequence_so_far_with_a_scale_that_changes() -> None:
    conditional, null = random_logits(6, 200, 7), random_logits(6, 200, 8)
    scales = [2.0, 2.0, 3.0, 1.5, 1.5, 4.0]
    final = step_by_step(conditional, null, scales)
    for step, scale in enumerate(scales):
        so_far = rescaled_by_hand(conditional[: step + 1], null[: step + 1], scale)
        assert torch.allclose(final[step], so_far[step], atol=1e-4)


def test_the_sequence_begins_where_guidance_begins() -> None:
    conditional, null = random_logits(5, 100, 9), random_logits(5, 100, 10)
    on, off = sampler(scale=2.0, **WIDE), sampler(scale=1.0, **WIDE)
    states = on.start(1)
    for step in range(2):
        states = on.decide(
            conditional[step : step + 1], Rows.of("ar", null=null[step : step + 1]), states
        ).states
    assert off.start(1) == {} and "null" not in off.needs and "null" in on.needs
    again = on.carry(off.carry(states, 1), 1)
    final = on.final(conditional[3:4], Rows.of("ar", null=null[3:4]), again)
    assert torch.allclose(final, rescaled_by_hand(conditional[3:4], null[3:4], 2.0), atol=1e-4)


def test_all_positions_of_a_level_share_a_deviation_whoever_is_looked_at() -> None:
    conditional, null = random_logits(7, 100, 11), random_logits(7, 100, 12)
    at_work = sampler("nar", scale=2.0, **WIDE)
    rows = Rows.of("nar", 7, level=1, position=list(range(7)), null=null)
    states = at_work.gather(conditional, rows, at_work.start(7))
    expected = rescaled_by_hand(conditional, null, 2.0)
    assert torch.allclose(at_work.final(conditional, rows, states), expected, atol=1e-4)
    alone = torch.tensor([4, 4])
    few = Rows.of("nar", 2, level=1, position=[4, 4], null=null[alone])
    final = at_work.final(conditional[alone], few, pick(states, alone))
    assert torch.allclose(final, expected[alone], atol=1e-4)
    assert at_work.decide(conditional, rows, states).states.keys() == states.keys()


def test_passes_of_two_takes_do_not_mix() -> None:
    conditional, null = random_logits(6, 50, 13), random_logits(6, 50, 14)
    at_work = sampler("nar", scale=2.0, **WIDE)
    rows = Rows.of("nar", 6, take=[0, 1, 0, 1, 0, 1], level=1, null=null)
    final = at_work.final(conditional, rows, at_work.gather(conditional, rows, at_work.start(6)))
    assert torch.allclose(final[1::2], rescaled_by_hand(conditional[1::2], null[1::2], 2.0), atol=1e-4)


@pytest.mark.parametrize(("scale", "rescale"), [(1.5, 0.7), (2.0, 0.75), (3.0, 0.0)])
def test_the_reference_guides_the_same(scale: float, rescale: float) -> None:
    golden = load_file(GOLDEN)
    conditional, null = golden["ar.logits"], golden["ar_null.logits"]
    theirs = golden[f"cfg_s{scale}_r{rescale}.logits_tail"]
    at_work = sampler("nar", scale=scale, rescale=rescale, rescale_over="sequence")
    rows = Rows.of("nar", len(conditional), level=1, null=null)
    states = at_work.gather(conditional, rows, at_work.start(len(conditional)))
    assert torch.allclose(at_work.final(conditional, rows, states), theirs, atol=1e-4)
    # Step by step the last row sees what it sees there.
    stepping = sampler(scale=scale, rescale=rescale, rescale_over="sequence")
    so_far = stepping.start(1)
    final = conditional[:1]
    for step in range(len(conditional)):
        row = Rows.of("ar", step=step, null=null[step : step + 1])
        final = stepping.final(conditional[step : step + 1], row, so_far)
        so_far = stepping.decide(conditional[step : step + 1], row, so_far).states
    assert torch.allclose(final[0], theirs[-1], atol=1e-4)


@given(st.integers(0, 10_000), st.sampled_from([1.5, 4.0]), st.booleans())
def test_forbidden_ids_stay_so_and_nothing_else_is_lost(seed: int, scale: float, log_softmax: bool) -> None:
    conditional, null = random_logits(3, 20, seed), random_logits(3, 20, seed + 1)
    conditional[:, 2:5], null[:, 4:9], null[2] = NEVER, NEVER, NEVER
    before = conditional.clone(), null.clone()
    for parameters in ({}, {"rescale": 0.7}, {"rescale": 1.0, "blend": 0.5}, {"blend": 0.0}):
        final = guided(conditional, null, scale=scale, log_softmax=log_softmax, **parameters)
        assert not final.isnan().any() and (final < torch.inf).all()
        assert torch.equal(final == NEVER, conditional == NEVER)
    assert torch.equal(conditional, before[0]) and torch.equal(null, before[1])


def test_a_flat_row_stays_flat() -> None:
    flat = torch.full((1, 8), 3.0)
    for null in (flat, torch.zeros(1, 8)):
        final = guided(flat, null, scale=3.0, rescale=1.0)
        assert final.isfinite().all() and (final == final[0, 0]).all()


def test_a_scale_of_1_is_off_also_where_a_curve_passes_it() -> None:
    conditional, null = random_logits(3, 30, 15), random_logits(3, 30, 16)
    curve = {"curve": "list", "values": [2.0, 1.0, 0.5]}
    at_work = sampler(scale=curve, candidates=4, blend=0.7)
    final = at_work.final(conditional, Rows.of("ar", 3, step=[0, 1, 2], null=null))
    assert torch.equal(final[1], conditional[1])
    for row, scale in ((0, 2.0), (2, 0.5)):
        alone = guided(conditional[row : row + 1], null[row : row + 1], scale=scale, candidates=4, blend=0.7)
        assert torch.allclose(final[row], alone[0], atol=1e-5)
    assert sampler(scale=1.0, rescale=0.5, candidates=4).effective[0].neutral


def test_guidance_stands_first_and_once() -> None:
    stack = Stack.from_dict({"ar": [{"name": "min_p"}, {"name": "draw"}], "nar": [{"name": "greedy"}]})
    added = stack.set_text("guidance.scale=2").set_text("nar:guidance.scale=1.5")
    assert [stage.name for stage in added.lists["ar"]] == ["guidance", "min_p", "draw"]
    assert [stage.name for stage in added.lists["nar"]] == ["guidance", "greedy"]
    with pytest.raises(StackError, match="only one of guidance"):
        added.add("guidance")
    with pytest.raises(StackError, match="first stage"):
        added.move("guidance", 1)


def test_without_a_null_pass_there_is_no_guidance() -> None:
    with pytest.raises(StackError, match="null pass"):
        sampler(scale=2.0).final(torch.zeros(1, 4), Rows.of("ar"))


def test_a_state_is_a_row_of_sums() -> None:
    conditional, null = torch.tensor([[1.0, 2.0, NEVER]]), torch.tensor([[3.0, -1.0, 5.0]])
    states = sampler(scale=2.0).decide(conditional, Rows.of("ar", null=null)).states
    state = states["guidance"]
    assert isinstance(state, GuidanceState)
    assert state.sums.tolist() == [[2.0, 3.0, 2.0, 5.0, 10.0, 1.0]]
