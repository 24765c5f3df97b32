"""What samplers easily get wrong: each was found in a published implementation, and is right here."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from tests.valle.samplers.examples import GOLDEN, NEVER, kept, random_logits, run
from valle.samplers import Stack, StackError, find
from valle.samplers.rows import Rows
from valle.samplers.sampler import Sampler


def after(past: list[int], logits: list[float], phase: str = "ar", **stage: Any) -> list[float]:
    """What a stage makes of a row with this past."""
    rows = Rows.of(phase, past=torch.tensor([past]))
    return run(torch.tensor([logits]), stage, rows=rows, phase=phase)[0].tolist()


REPETITION = {"name": "repetition_penalty", "penalty": 1.5}
DRY = {"name": "dry", "multiplier": 1.0, "base": 2.0}


def test_a_banned_id_cannot_be_taken_and_one_that_the_head_lacks_is_ignored() -> None:
    final = run(torch.zeros(1, 1025), {"name": "ban_tokens", "ids": [1024]})
    assert (final == NEVER).nonzero().tolist() == [[0, 1024]]
    assert torch.equal(run(torch.zeros(1, 256), {"name": "ban_tokens", "ids": [1024]}), torch.zeros(1, 256))


def test_a_penalty_makes_a_negative_logit_less_likely() -> None:
    assert after([0, 1], [-2.0, 2.0], **REPETITION) == pytest.approx([-3.0, 4 / 3])


def test_a_penalty_counts_an_id_once() -> None:
    assert after([0, 0, 0], [3.0, 3.0], **REPETITION) == [2.0, 3.0]
    assert after([0, 0, 0], [3.0, 3.0], **REPETITION, decay=1e-9) == pytest.approx([2.0, 3.0])


def test_a_penalty_fades_with_distance() -> None:
    near, far, never = after([1, 2, 2, 2, 0], [3.0, 3.0, 3.0], **REPETITION, decay=1.0)
    assert near < far < 3.0 and near < never
    assert far == pytest.approx(3.0 / (1 + 0.5 / 5))


def test_the_distance_is_that_to_the_row_itself() -> None:
    past = torch.tensor([[0, 1, 2, 3]]).expand(3, -1)
    rows = Rows.of("nar_len", 3, position=[1, 2, 4], past=past, past_length=torch.tensor([1, 2, 4]))
    stage = {**REPETITION, "decay": 1.0, "window": 2}
    final = run(torch.full((3, 4), 3.0), stage, rows=rows, phase="nar_len")
    at_one, at_two = 3 / 1.5, 3 / 1.25
    expected = [[at_one, 3, 3, 3], [at_two, at_one, 3, 3], [3, 3, at_two, at_one]]
    assert torch.allclose(final, torch.tensor(expected))


def test_a_single_id_of_the_past_is_penalised_too() -> None:
    assert after([0], [3.0, 3.0], **REPETITION) == [2.0, 3.0]


def test_codes_of_another_level_are_never_a_past() -> None:
    for name in ("repetition_penalty", "frequency_penalty", "presence_penalty", "no_repeat_ngram", "dry"):
        assert "nar" in find(name).refused and "past" in find(name).refused["nar"]


def test_the_mask_id_of_a_half_demasked_past_is_no_id() -> None:
    final = after([5, 1024, 7], [3.0] * 1024, "nar_len", **REPETITION)
    assert [token for token, logit in enumerate(final) if logit != 3.0] == [5, 7]


def test_the_penalty_has_a_window_of_a_second_unless_told_otherwise() -> None:
    parameter = find("repetition_penalty").parameter("window")
    assert parameter is not None and parameter.default == 75
    assert after([0] + [1] * 75, [3.0, 3.0], **REPETITION) == [3.0, 2.0]


def test_a_length_penalty_makes_stop_less_likely_whatever_its_sign() -> None:
    rows = Rows.of("ar", 2, step=100, stop=1)
    final = run(
        torch.tensor([[0.0, 10.0], [0.0, -10.0]]), {"name": "length_penalty", "penalty": 0.5}, rows=rows
    )
    assert final[:, 1].tolist() == pytest.approx([1.0, -100.0])


def test_min_p_may_leave_a_single_id() -> None:
    assert kept([50.0] + [0.0] * 99, {"name": "min_p", "p": 0.5}) == [0]


def test_a_count_of_ids_is_kept_exactly() -> None:
    assert len(kept([1.0] * 20, {"name": "top_k", "k": 2})) == 2
    assert kept([2.0, 1.0, 0.0], {"name": "top_p", "p": 0.0}) == [0]


def test_top_p_takes_no_id_beyond_an_exact_boundary() -> None:
    assert kept([0.0] * 4, {"name": "top_p", "p": 0.5}) == [0, 1]
    assert kept([0.0] * 4, {"name": "top_p", "p": 0.5, "rule": "llama3"}) == [0, 1, 2]


def test_deciding_twice_on_the_same_logits_decides_the_same() -> None:
    stages = [REPETITION, {"name": "dry"}, {"name": "min_p"}, {"name": "temperature", "value": 0.7}]
    sampler = Sampler(Stack.from_dict({"ar": [*stages, {"name": "draw"}]}), "ar")
    logits, rows = random_logits(2, 30), Rows.of("ar", 2, past=torch.tensor([[1, 2, 1, 2], [3, 3, 3, 3]]))
    before = logits.clone()
    first, second = sampler.stages(logits, rows), sampler.stages(logits, rows)
    assert torch.equal(first["raw"], before) and torch.equal(logits, before)
    assert all(torch.equal(first[key], second[key]) for key in first)


def test_top_n_sigma_is_off_at_0_and_uses_its_n() -> None:
    counts = [len(kept(GOLDEN, {"name": "top_n_sigma", "n": n})) for n in (0.0, 0.5, 1.0, 1.5, 3.0)]
    assert counts == [5, 1, 2, 3, 5]


def test_top_n_sigma_after_a_truncation_and_on_a_single_id() -> None:
    cut = [{"name": "top_k", "k": 3}, {"name": "top_n_sigma", "n": 1.0}]
    # The deviation of 2, 1, 0 is .816: 1 lies further away than that.
    assert kept(GOLDEN, *cut) == [0]
    assert kept([0.3], {"name": "top_n_sigma", "n": 1.0}) == [0]


def test_penalties_stand_before_truncations_and_these_before_temperature() -> None:
    stack = Stack.from_dict({"ar": [{"name": "draw"}]})
    order = ["top_p", "dry", "temperature", "top_n_sigma", "repetition_penalty", "xtc", "minimum_length"]
    for name in order:
        stack = stack.add(name)
    assert [stage.name for stage in stack.lists["ar"]] == [
        "minimum_length", "repetition_penalty", "dry", "top_n_sigma", "top_p", "xtc", "temperature", "draw",
    ]  # fmt: skip


def test_dry_goes_on_after_a_short_match() -> None:
    assert after([4, 9, 1, 2, 4, 8, 3, 1, 2, 4], [0.0] * 10, **DRY)[8] == -2.0


def test_dry_wants_an_earlier_occurrence_of_the_latest_id() -> None:
    assert after([1, 2, 3, 4], [0.0] * 10, **DRY, allowed_length=1) == [0.0] * 10


def test_dry_lowers_the_id_after_the_match_and_not_the_matched_one() -> None:
    final = after([1, 2, 7, 1, 2], [0.0] * 10, **DRY)
    assert final[7] == -1.0 and final[2] == 0.0 and final[1] == 0.0


def test_dry_does_not_match_the_end_with_itself() -> None:
    assert after([1, 2, 3], [0.0] * 4, **DRY, allowed_length=1) == [0.0] * 4
    assert after([3], [0.0] * 4, **DRY, allowed_length=1) == [0.0] * 4


def test_dry_takes_the_longest_match_and_adds_none_up() -> None:
    twice = after([1, 2, 7, 1, 2, 7, 1, 2], [0.0] * 8, **DRY)
    # The last two ids came before the first 7, the last five before the second.
    assert twice[7] == -(2.0**3)


def test_dry_has_a_range_breakers_and_an_end_of_matches() -> None:
    past = [1, 2, 7, 1, 2]
    assert after(past, [0.0] * 8, **DRY, range=4) == [0.0] * 8
    assert after(past, [0.0] * 8, **DRY, breakers=[2]) == [0.0] * 8
    assert after([1] * 300, [0.0] * 2, **{**DRY, "base": 1.1})[1] == pytest.approx(-(1.1**48), rel=1e-5)


def test_the_minimum_temperature_can_be_reached_by_its_one_name() -> None:
    stack = Stack.from_dict({"ar": [{"name": "draw"}]})
    edited = stack.set_text("dynamic_temperature.minimum=0.2").set_text("dynamic_temperature.form=sigmoid")
    assert edited.effective("ar")[0].parameters["minimum"] == 0.2
    with pytest.raises(StackError, match='no parameter "min_temperature"; known are minimum'):
        stack.set_text("dynamic_temperature.min_temperature=0.2")


def test_the_sigmoid_looks_at_the_highest_probability() -> None:
    # One id has half of the probability, which is the center: the temperature is half way.
    logits = torch.tensor([[0.5, 0.3, 0.2]]).log()
    stage = {"name": "dynamic_temperature", "form": "sigmoid", "minimum": 0.2, "maximum": 1.0}
    assert torch.allclose(run(logits, stage), logits / 0.6, atol=1e-5)


def test_a_temperature_of_0_is_greedy_and_not_raised() -> None:
    stack = Stack.from_dict({"ar": [{"name": "temperature", "value": 0.0}, {"name": "draw"}]})
    assert stack.effective("ar")[0].parameters["value"] == 0.0
    assert kept(GOLDEN, {"name": "temperature", "value": 0.0}) == [0]


def test_entropy_of_a_row_with_banned_ids_is_a_number() -> None:
    logits = torch.tensor([[0.0, 0.0, NEVER, NEVER]])
    for name in ("dynamic_temperature", "typical", "eta", "top_h", "unified"):
        final = run(logits, {"name": name})
        assert not final.isnan().any() and (final > NEVER).any()
