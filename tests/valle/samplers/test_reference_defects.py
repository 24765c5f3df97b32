"""What the reference gets wrong and is right here: one test for each defect of its samplers, by number.

The numbers are those of a review of e-c-k-e-r/vall-e's samplers; what it does stands behind the number.
"""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from tests.valle.samplers.examples import GOLDEN, NEVER, kept, random_logits, run
from valle.samplers import Stack, StackError, find
from valle.samplers.rows import Rows
from valle.samplers.sampler import Decision, Sampler


def after(past: list[int], logits: list[float], phase: str = "ar", **stage: Any) -> list[float]:
    """What a stage makes of a row with this past."""
    rows = Rows.of(phase, past=torch.tensor([past]))
    return run(torch.tensor([logits]), stage, rows=rows, phase=phase)[0].tolist()


REPETITION: dict[str, Any] = {"name": "repetition_penalty", "penalty": 1.5}
DRY: dict[str, Any] = {"name": "dry", "multiplier": 1.0, "base": 2.0}


def test_a_banned_id_cannot_be_taken_and_one_that_the_head_lacks_is_ignored() -> None:
    """Defect 1: its ban skips every id that exists and raises for the others."""
    final = run(torch.zeros(1, 1025), {"name": "ban_tokens", "ids": [1024]})
    assert (final == NEVER).nonzero().tolist() == [[0, 1024]]
    assert torch.equal(run(torch.zeros(1, 256), {"name": "ban_tokens", "ids": [1024]}), torch.zeros(1, 256))


def test_a_penalty_makes_a_negative_logit_less_likely() -> None:
    """Defect 2: it divides negative logits too, and so makes them likelier."""
    assert after([0, 1], [-2.0, 2.0], **REPETITION) == pytest.approx([-3.0, 4 / 3])


def test_a_penalty_counts_an_id_once() -> None:
    """Defect 3: it penalises an id again for every time that it occurred."""
    assert after([0, 0, 0], [3.0, 3.0], **REPETITION) == [2.0, 3.0]
    assert after([0, 0, 0], [3.0, 3.0], **REPETITION, decay=1e-9) == pytest.approx([2.0, 3.0])


@pytest.mark.parametrize("dtype", [torch.int64, torch.int32])
def test_an_id_is_known_by_its_number(dtype: torch.dtype) -> None:
    """Defect 4: it looks for tensors in a set of tensors, where none is ever found."""
    rows = Rows.of("ar", past=torch.tensor([[1, 1, 0]], dtype=dtype))
    final = run(torch.full((1, 3), 3.0), REPETITION, {"name": "dry", "allowed_length": 1}, rows=rows)
    assert final[0, :2].tolist() == [2.0, 2.0]


def test_a_penalty_fades_with_distance() -> None:
    """Defect 5: its penalty grows with the distance."""
    near, far, never = after([1, 2, 2, 2, 0], [3.0, 3.0, 3.0], **REPETITION, decay=1.0)
    assert near < far < 3.0 and near < never
    assert far == pytest.approx(3.0 / (1 + 0.5 / 5))


def test_the_distance_is_that_to_the_row_itself() -> None:
    """Defect 6: its distance is that to the end of the sequence, whatever the row."""
    past = torch.tensor([[0, 1, 2, 3]]).expand(3, -1)
    rows = Rows.of("nar_len", 3, position=[1, 2, 4], past=past, past_length=torch.tensor([1, 2, 4]))
    stage = {**REPETITION, "decay": 1.0, "window": 2}
    final = run(torch.full((3, 4), 3.0), stage, rows=rows, phase="nar_len")
    at_one, at_two = 3 / 1.5, 3 / 1.25
    expected = [[at_one, 3, 3, 3], [at_two, at_one, 3, 3], [3, 3, at_two, at_one]]
    assert torch.allclose(final, torch.tensor(expected))


def test_a_single_id_of_the_past_is_penalised_too() -> None:
    """Defect 7: it takes a past of one id for another phase and does nothing."""
    assert after([0], [3.0, 3.0], **REPETITION) == [2.0, 3.0]


def test_codes_of_another_level_are_never_a_past() -> None:
    """Defect 8: it penalises a level with the ids of the level before."""
    for name in ("repetition_penalty", "frequency_penalty", "presence_penalty", "no_repeat_ngram", "dry"):
        assert "nar" in find(name).refused and "past" in find(name).refused["nar"]


def test_the_mask_id_of_a_half_demasked_past_is_no_id() -> None:
    """Defect 9: its mask id is beyond the head, and raises."""
    final = after([5, 1024, 7], [3.0] * 1024, "nar_len", **REPETITION)
    assert [token for token, logit in enumerate(final) if logit != 3.0] == [5, 7]


def test_the_penalty_has_a_window_of_a_second_unless_told_otherwise() -> None:
    """Defect 10: it speaks of a window of 75 and has none."""
    parameter = find("repetition_penalty").parameter("window")
    assert parameter is not None and parameter.default == 75
    assert after([0] + [1] * 75, [3.0, 3.0], **REPETITION) == [3.0, 2.0]


def test_a_length_penalty_makes_stop_less_likely_whatever_its_sign() -> None:
    """Defect 11: it divides a negative logit too, so stop becomes likelier."""
    rows = Rows.of("ar", 2, step=100, stop=1)
    final = run(
        torch.tensor([[0.0, 10.0], [0.0, -10.0]]), {"name": "length_penalty", "penalty": 0.5}, rows=rows
    )
    assert final[:, 1].tolist() == pytest.approx([1.0, -100.0])


def test_min_p_may_leave_a_single_id() -> None:
    """Defect 12: it keeps 32 ids at least."""
    assert kept([50.0] + [0.0] * 99, {"name": "min_p", "p": 0.5}) == [0]


def test_a_count_of_ids_is_kept_exactly() -> None:
    """Defect 13: it keeps one id more than it is told to."""
    assert len(kept([1.0] * 20, {"name": "top_k", "k": 2})) == 2
    assert kept([2.0, 1.0, 0.0], {"name": "top_p", "p": 0.0}) == [0]


def test_top_p_takes_no_id_beyond_an_exact_boundary() -> None:
    """Defect 14: it keeps one id more at an exact boundary."""
    assert kept([0.0] * 4, {"name": "top_p", "p": 0.5}) == [0, 1]
    assert kept([0.0] * 4, {"name": "top_p", "p": 0.5, "rule": "llama3"}) == [0, 1, 2]


def test_deciding_twice_on_the_same_logits_decides_the_same() -> None:
    """Defect 15: its helpers write into the logits that they are given."""
    stages = [REPETITION, {"name": "dry"}, {"name": "min_p"}, {"name": "temperature", "value": 0.7}]
    sampler = Sampler(Stack.from_dict({"ar": [*stages, {"name": "draw"}]}), "ar")
    logits, rows = random_logits(2, 30), Rows.of("ar", 2, past=torch.tensor([[1, 2, 1, 2], [3, 3, 3, 3]]))
    before = logits.clone()
    first, second = sampler.stages(logits, rows), sampler.stages(logits, rows)
    assert torch.equal(first["raw"], before) and torch.equal(logits, before)
    assert all(torch.equal(first[key], second[key]) for key in first)


def test_top_n_sigma_is_off_at_0_and_uses_its_n() -> None:
    """Defect 16: its n is always 1, and on unless it is switched off."""
    counts = [len(kept(GOLDEN, {"name": "top_n_sigma", "n": n})) for n in (0.0, 0.5, 1.0, 1.5, 3.0)]
    assert counts == [5, 1, 2, 3, 5]


def test_top_n_sigma_after_a_truncation_and_on_a_single_id() -> None:
    """Defect 17: its deviation of a row with banned ids is NaN."""
    cut = [{"name": "top_k", "k": 3}, {"name": "top_n_sigma", "n": 1.0}]
    # The deviation of 2, 1, 0 is .816: 1 lies further away than that.
    assert kept(GOLDEN, *cut) == [0]
    assert kept([0.3], {"name": "top_n_sigma", "n": 1.0}) == [0]


def test_penalties_stand_before_truncations_and_these_before_temperature() -> None:
    """Defect 18: its DRY comes after the cuts, where nothing can take the place."""
    stack = Stack.from_dict({"ar": [{"name": "draw"}]})
    order = ["top_p", "dry", "temperature", "top_n_sigma", "repetition_penalty", "xtc", "minimum_length"]
    for name in order:
        stack = stack.add(name)
    assert [stage.name for stage in stack.lists["ar"]] == [
        "minimum_length", "repetition_penalty", "dry", "top_n_sigma", "top_p", "xtc", "temperature", "draw",
    ]  # fmt: skip


def test_dry_goes_on_after_a_short_match() -> None:
    """Defect 19: it stops at the first match that is too short."""
    assert after([4, 9, 1, 2, 4, 8, 3, 1, 2, 4], [0.0] * 10, **DRY)[8] == -2.0


def test_dry_wants_an_earlier_occurrence_of_the_latest_id() -> None:
    """Defect 20: it starts a match at every id, whether it is the latest one or not."""
    assert after([1, 2, 3, 4], [0.0] * 10, **DRY, allowed_length=1) == [0.0] * 10


def test_dry_lowers_the_id_after_the_match_and_not_the_matched_one() -> None:
    """Defect 21: it lowers the matched id."""
    final = after([1, 2, 7, 1, 2], [0.0] * 10, **DRY)
    assert final[7] == -1.0 and final[2] == 0.0 and final[1] == 0.0


def test_dry_does_not_match_the_end_with_itself() -> None:
    """Defect 22: it matches the end of the past with itself."""
    assert after([1, 2, 3], [0.0] * 4, **DRY, allowed_length=1) == [0.0] * 4
    assert after([3], [0.0] * 4, **DRY, allowed_length=1) == [0.0] * 4


def test_dry_takes_the_longest_match_and_adds_none_up() -> None:
    """Defect 23: its penalties of one id add up."""
    twice = after([1, 2, 7, 1, 2, 7, 1, 2], [0.0] * 8, **DRY)
    # The last two ids came before the first 7, the last five before the second.
    assert twice[7] == -(2.0**3)


def test_dry_has_a_range_breakers_and_an_end_of_matches() -> None:
    """Defect 24: it has neither range nor breakers."""
    past = [1, 2, 7, 1, 2]
    assert after(past, [0.0] * 8, **DRY, range=4) == [0.0] * 8
    assert after(past, [0.0] * 8, **DRY, breakers=[2]) == [0.0] * 8
    assert after([1] * 300, [0.0] * 2, **{**DRY, "base": 1.1})[1] == pytest.approx(-(1.1**48), rel=1e-5)


def decided(*stages: dict[str, Any], steps: int = 1, logits: Tensor | None = None) -> list[Decision]:
    """What a stack decides, step after step, each with the states of the one before."""
    sampler = Sampler(Stack.from_dict({"ar": list(stages)}), "ar")
    row = random_logits(2, 40, seed=3) if logits is None else logits
    states, decisions = sampler.start(len(row)), []
    for step in range(steps):
        decisions.append(sampler.decide(row, Rows.of("ar", len(row), step=step), states))
        states = decisions[-1].states
    return decisions


MIROSTAT = {"name": "mirostat", "target": 2.0, "learning_rate": 0.5, "version": 1}


def test_mirostat_is_run_and_its_state_goes_from_step_to_step() -> None:
    """Defect 25: its state never reaches the sampler, so there is no mirostat."""
    first, second = decided(MIROSTAT, steps=2)
    mu = [decision.states["mirostat"].mu for decision in (first, second)]
    assert not torch.equal(mu[0], torch.full((2,), 4.0))
    assert not torch.equal(mu[0], mu[1])


def test_mirostat_starts_from_twice_its_target() -> None:
    """Defect 26: it starts from twice the learning rate."""
    sampler = Sampler(Stack.from_dict({"ar": [MIROSTAT]}), "ar")
    assert sampler.start(1)["mirostat"].mu.tolist() == [4.0]


def test_every_row_has_a_mirostat_of_its_own() -> None:
    """Defect 27: the rows of a batch share one state."""
    sure, unsure = torch.zeros(1, 40).index_fill(1, torch.tensor([7]), 30.0), torch.zeros(1, 40)
    (both,) = decided(MIROSTAT, logits=torch.cat([sure, unsure]))
    mu = both.states["mirostat"].mu.tolist()
    # The surprise of the first is 0, that of the second log2 40.
    assert mu == pytest.approx([4 + 0.5 * 2, 4 - 0.5 * (5.321928 - 2)])


@pytest.mark.parametrize("row", [[0.0] * 5, [1.0, NEVER, NEVER], [2.0], [3.0, 1.0] + [NEVER] * 200])
def test_mirostat_decides_any_row(row: list[float]) -> None:
    """Defect 28: it divides by 0 after a cut and on flat rows, and wants more than 100 ids."""
    (decision,) = decided(MIROSTAT, logits=torch.tensor([row]))
    assert row[decision.chosen[0]] > NEVER
    assert bool(decision.states["mirostat"].mu.isfinite().all())


def test_states_are_no_scores() -> None:
    """Defect 29: it hands out its states as scores."""
    (decision,) = decided(MIROSTAT)
    assert set(decision.states) == {"mirostat"}
    assert decision.log_probability.shape == (2,) and decision.log_probability.dtype.kind == "f"


def test_the_minimum_temperature_can_be_reached_by_its_one_name() -> None:
    """Defect 30: its command line loses the minimum temperature."""
    stack = Stack.from_dict({"ar": [{"name": "draw"}]})
    edited = stack.set_text("dynamic_temperature.minimum=0.2").set_text("dynamic_temperature.form=sigmoid")
    assert edited.effective("ar")[0].parameters["minimum"] == 0.2
    with pytest.raises(StackError, match='no parameter "min_temperature"; known are minimum'):
        stack.set_text("dynamic_temperature.min_temperature=0.2")


def test_the_sigmoid_looks_at_the_highest_probability() -> None:
    """Defect 31: it goes over the logits one by one, in Python."""
    # One id has half of the probability, which is the center: the temperature is half way.
    logits = torch.tensor([[0.5, 0.3, 0.2]]).log()
    stage = {"name": "dynamic_temperature", "form": "sigmoid", "minimum": 0.2, "maximum": 1.0}
    assert torch.allclose(run(logits, stage), logits / 0.6, atol=1e-5)


def test_a_temperature_of_0_is_greedy_and_not_raised() -> None:
    """Defect 39: it raises the temperature, as other settings, without a word."""
    stack = Stack.from_dict({"ar": [{"name": "temperature", "value": 0.0}, {"name": "draw"}]})
    assert stack.effective("ar")[0].parameters["value"] == 0.0
    assert kept(GOLDEN, {"name": "temperature", "value": 0.0}) == [0]


def test_entropy_of_a_row_with_banned_ids_is_a_number() -> None:
    """Defect 42: its entropy of a row with banned ids is NaN."""
    logits = torch.tensor([[0.0, 0.0, NEVER, NEVER]])
    for name in ("dynamic_temperature", "typical", "eta", "top_h", "unified"):
        final = run(logits, {"name": name})
        assert not final.isnan().any() and (final > NEVER).any()


def test_the_probability_told_is_that_of_the_token_taken() -> None:
    """Defect 49: the confidence by which it masks again is that of another draw than the one it keeps."""
    for decision in decided({"name": "draw"}, steps=40):
        expected = random_logits(2, 40, seed=3).log_softmax(-1)[[0, 1], decision.chosen.tolist()]
        assert decision.log_probability.tolist() == pytest.approx(expected.tolist(), abs=1e-5)


def test_seed_0_is_a_seed() -> None:
    """Defect 51: its seed 0 is the clock."""
    first, again, other = (Rows.of("ar", seed=seed).gumbel("choose", 50) for seed in (0, 0, 1))
    assert (first == again).all() and (first != other).all()


@pytest.mark.parametrize(
    ("stage", "says"),
    [
        ({"name": "top_kk", "k": 3}, 'unknown stage "top_kk"; the nearest is "top_k"'),
        ({"name": "top_k", "kk": 3}, 'no parameter "kk"; the nearest is "k"'),
        ({"name": "temperature", "value": 1, "vlaue": 2}, 'no parameter "vlaue"; the nearest is "value"'),
    ],
)
def test_a_misspelt_option_is_an_error(stage: dict[str, Any], says: str) -> None:
    """Defect 52: its options vanish silently where they are misspelt."""
    with pytest.raises(StackError, match=says):
        Stack.from_dict({"ar": [stage, {"name": "draw"}]})


def test_every_phase_has_settings_of_its_own() -> None:
    """Defect 53: its masked decoding reads the temperature of the AR."""
    stack = Stack.from_dict({"ar": [{"name": "draw"}], "nar_len": [{"name": "greedy"}]})
    heated = stack.set("ar:temperature.value", 1.7).set("ar:top_k.k", 3)
    assert heated.stages("nar_len") == stack.stages("nar_len")
    assert heated.stages("ar") != stack.stages("ar")


def test_raw_probabilities_are_told_beside_the_final_ones() -> None:
    """Defect 54: it tells only probabilities after all stages."""
    (decision,) = decided({"name": "top_k", "k": 2}, {"name": "temperature", "value": 0.5}, {"name": "draw"})
    assert decision.measures is not None
    assert decision.measures.points == ("raw", "top_k", "temperature")
    raw = random_logits(2, 40, seed=3).softmax(-1)[[0, 1], decision.chosen.tolist()]
    assert decision.measures.probability[0].tolist() == pytest.approx(raw.tolist(), abs=1e-5)
    assert (decision.measures.probability[-1] > decision.measures.probability[0]).all()
