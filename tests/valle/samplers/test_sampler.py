"""The stages together: choices, forced tokens, curves, conditions, states, rows that cannot be decided."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
import torch
from scipy import stats
from torch import Tensor

from valle.samplers import RowError, Stack, find
from valle.samplers.rows import Rows
from valle.samplers.sampler import Sampler, pick, resolve_function
from valle.samplers.stages import STAGES

NEVER = float("-inf")


def sampler(*stages: dict[str, Any], phase: str = "ar") -> Sampler:
    return Sampler(Stack.from_dict({phase: list(stages)}), phase)


def random_logits(rows: int, width: int, seed: int = 0) -> Tensor:
    return torch.randn(rows, width, generator=torch.Generator().manual_seed(seed)) * 3


@pytest.mark.parametrize("probabilities", [[0.4, 0.3, 0.2, 0.1], [0.97, 0.01, 0.01, 0.01], [0.25] * 4])
def test_draws_follow_their_distribution(probabilities: list[float]) -> None:
    count = 4000
    logits = torch.tensor([probabilities]).log().expand(count, -1)
    decision = sampler({"name": "draw"}).decide(logits, Rows.of("ar", count, seed=11, step=np.arange(count)))
    seen = np.bincount(decision.chosen, minlength=4)
    assert stats.chisquare(seen, np.array(probabilities) * count).pvalue > 1e-3


def test_the_draw_is_the_best_of_logits_and_gumbel_noise() -> None:
    logits = random_logits(3, 9)
    rows = Rows.of("ar", 3, seed=[1, 2, 3], step=[4, 5, 6])
    decision = sampler({"name": "temperature", "value": 0.5}, {"name": "draw"}).decide(logits, rows)
    scores = (logits / 0.5).log_softmax(-1).double().numpy() - np.log(-np.log(rows.noise("choose", 9)))
    order = np.argsort(-scores, -1)
    best, second = order[:, 0], order[:, 1]
    assert decision.chosen.tolist() == best.tolist() and decision.runner_up.tolist() == second.tolist()
    margin = np.take_along_axis(scores, order, -1)
    assert decision.margin == pytest.approx(margin[:, 0] - margin[:, 1], abs=1e-5)
    expected = (logits / 0.5).log_softmax(-1)[range(3), best.tolist()]
    assert decision.log_probability == pytest.approx(expected.numpy(), abs=1e-5)


def test_greedy_takes_the_lowest_of_equals() -> None:
    decision = sampler({"name": "greedy"}).decide(
        torch.tensor([[1.0, 3.0, 3.0], [2.0, 2.0, 2.0]]), Rows.of("ar", 2)
    )
    assert decision.chosen.tolist() == [1, 0] and decision.runner_up.tolist() == [2, 1]
    assert decision.margin.tolist() == [0.0, 0.0]
    assert decision.tokens.dtype == torch.int64 and decision.tokens.tolist() == [1, 0]


def test_temperature_0_is_greedy_whatever_the_chooser() -> None:
    logits = random_logits(50, 30)
    rows = Rows.of("ar", 50, seed=3, step=np.arange(50))
    decision = sampler({"name": "temperature", "value": 0}, {"name": "draw"}).decide(logits, rows)
    assert decision.chosen.tolist() == logits.argmax(-1).tolist()
    assert (decision.runner_up == -1).all() and np.isinf(decision.margin).all()
    assert (decision.log_probability == 0).all()


def test_the_same_noise_decides_whatever_the_order_of_calls() -> None:
    deciding = sampler({"name": "top_k", "k": 20}, {"name": "draw"})
    logits = random_logits(6, 60)
    together = deciding.decide(logits, Rows.of("ar", 6, seed=5, step=np.arange(6))).chosen
    for step in (3, 0, 5, 3, 1):
        alone = deciding.decide(logits[step : step + 1], Rows.of("ar", seed=5, step=step)).chosen
        assert alone[0] == together[step]


def test_a_forced_token_is_taken_and_the_stacks_own_choice_is_told() -> None:
    logits = torch.tensor([[3.0, 1.0, 0.0], [0.0, 1.0, 3.0]])
    deciding = sampler({"name": "top_k", "k": 2}, {"name": "greedy"})
    decision = deciding.decide(logits, Rows.of("ar", 2), forced=torch.tensor([1, -1]))
    assert decision.chosen.tolist() == [1, 2] and decision.choice.tolist() == [0, 2]
    assert decision.tokens.tolist() == [1, 2]
    assert decision.log_probability[0] == pytest.approx(np.log(np.exp(1) / (np.exp(3) + np.exp(1))), abs=1e-6)
    outside = deciding.decide(logits, Rows.of("ar", 2), forced=torch.tensor([2, -1]))
    assert outside.log_probability[0] == NEVER


def final(stage: dict[str, Any], logits: Tensor, rows: Rows) -> Tensor:
    return sampler(stage, {"name": "greedy"}).final(logits, rows)


@pytest.mark.parametrize(
    ("curve", "steps", "expected"),
    [
        ({"curve": "constant", "values": [2]}, [0, 9], [2, 2]),
        ({"curve": "linear", "values": [1, 3], "begin": 10, "end": 20}, [0, 10, 15, 20, 99], [1, 1, 2, 3, 3]),
        ({"curve": "cosine", "values": [1, 3], "begin": 0, "end": 4}, [0, 1, 2, 4], [1, 2 - 0.5**0.5, 2, 3]),
        ({"curve": "steps", "values": [1, 2, 4], "at": [0, 5, 8]}, [0, 4, 5, 8, 70], [1, 1, 2, 4, 4]),
        ({"curve": "list", "values": [1, 2, 3]}, [0, 1, 2, 3, 70], [1, 2, 3, 3, 3]),
    ],
)
def test_curves_over_steps(curve: dict[str, Any], steps: list[int], expected: list[float]) -> None:
    logits = torch.ones(len(steps), 2)
    stage = {"name": "temperature", "value": curve}
    together = final(stage, logits, Rows.of("ar", len(steps), step=steps))
    assert (1 / together[:, 0]).tolist() == pytest.approx(expected, abs=1e-6)
    for step, value in zip(steps, expected, strict=True):
        assert 1 / float(final(stage, logits[:1], Rows.of("ar", step=step))[0, 0]) == pytest.approx(
            value, abs=1e-6
        )


def test_curves_over_a_measure_of_raw_or_of_what_enters_the_stage() -> None:
    logits = torch.tensor([[1.0] * 4, [99.0, 0.0, 0.0, 0.0]])
    curve = {"curve": "linear", "values": [1, 5], "begin": 0, "end": 2, "over": "entropy"}
    cut = {"name": "top_k", "k": 2}
    for of, value in (("raw", 5.0), ("here", 3.0)):
        stage = {"name": "temperature", "value": {**curve, "of": of}}
        result = sampler(cut, stage, {"name": "greedy"}).final(logits, Rows.of("ar", 2))
        assert result[:, 0].tolist() == pytest.approx([1 / value, 99.0])


def test_a_whole_number_on_a_curve_is_rounded() -> None:
    stage = {"name": "top_k", "k": {"curve": "linear", "values": [1, 4], "end": 9}}
    result = final(stage, torch.zeros(4, 6), Rows.of("ar", 4, step=[0, 4, 5, 9]))
    assert (result > NEVER).sum(-1).tolist() == [1, 2, 3, 4]


def test_a_stage_with_a_condition_touches_only_rows_that_meet_it() -> None:
    logits = torch.tensor([[1.0] * 4, [9.0, 0.0, 0.0, 0.0]])
    stage = {"name": "top_k", "k": 1, "when": {"measure": "entropy", "above": 1.9, "below": 2.1}}
    result = final(stage, logits, Rows.of("ar", 2))
    assert (result > NEVER).sum(-1).tolist() == [1, 4]
    assert torch.equal(result[1], logits[1])


def test_a_condition_on_what_enters_the_stage() -> None:
    when = {"measure": "entropy", "above": 1.5, "of": "here"}
    cut = {"name": "top_k", "k": 2}
    late = sampler(cut, {"name": "temperature", "value": 2, "when": when}, {"name": "greedy"})
    logits = torch.ones(1, 4)
    assert late.final(logits, Rows.of("ar"))[0, 0] == 1.0
    raw = sampler(cut, {"name": "temperature", "value": 2, "when": when | {"of": "raw"}}, {"name": "greedy"})
    assert raw.final(logits, Rows.of("ar"))[0, 0] == 0.5


def test_stages_that_are_off_or_neutral_do_not_run() -> None:
    deciding = sampler(
        {"name": "top_k", "k": 1, "on": False},
        {"name": "temperature", "value": 1.0},
        {"name": "min_p"},
        {"name": "draw"},
    )
    assert deciding.points == ("raw", "min_p")
    assert [stage.key for stage in deciding.effective] == ["top_k", "temperature", "min_p", "draw"]


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ([float("nan"), 0.0, 1.0], "ar step 7: the model gave NaN in row 1 (position 4)"),
        ([NEVER, NEVER, NEVER], "ar step 7: the model gave no id that can be taken in row 1 (position 4)"),
        ([float("inf"), 0.0, 1.0], "ar step 7: the model gave an infinite logit in row 1 (position 4)"),
        ([1.0, NEVER, NEVER], "ar step 7: after ban_tokens, row 1 (position 4) has no id that can be taken"),
    ],
)
def test_a_row_that_cannot_be_decided_names_step_stage_and_row(row: list[float], message: str) -> None:
    deciding = sampler({"name": "top_k", "k": 2}, {"name": "ban_tokens", "ids": [0]}, {"name": "draw"})
    rows = Rows.of("ar", 2, step=[3, 7], position=[0, 4])
    with pytest.raises(RowError) as caught:
        deciding.decide(torch.tensor([[0.0, 1.0, 2.0], row]), rows)
    assert str(caught.value).startswith(message)
    assert caught.value.step == 7 and caught.value.row == 1
    assert caught.value.stage == ("ban_tokens" if "after" in message else "raw")


@dataclass(frozen=True)
class Tally:
    """How often each row was decided, and what it took last."""

    steps: Tensor
    last: Tensor


def start_tally(rows_count: int, parameters: Any, device: Any) -> Tally:
    return Tally(torch.zeros(rows_count, 1), torch.full((rows_count,), -1))


def ban_last(logits: Tensor, rows: Rows, parameters: Any, states: Tally) -> Tensor:
    ids = torch.arange(logits.shape[-1])
    return torch.where(ids == states.last[:, None], NEVER, logits)


def tally(states: Tally, rows: Rows, parameters: Any, logits: Tensor, chosen: Tensor) -> Tally:
    return Tally(states.steps + 1, chosen)


@pytest.fixture
def stateful(monkeypatch: pytest.MonkeyPatch) -> str:
    """A stage with a state: it bans what was taken one step before."""
    from dataclasses import replace

    declared = replace(
        find("ban_tokens"),
        name="ban_last",
        parameters=(),
        function="f:apply",
        start="f:start",
        accept="f:accept",
    )
    functions = {"f:apply": ban_last, "f:start": start_tally, "f:accept": tally}
    monkeypatch.setitem(STAGES, "ban_last", declared)
    resolve = resolve_function
    monkeypatch.setattr(
        "valle.samplers.sampler.resolve_function", lambda name: functions.get(name) or resolve(name)
    )
    return "ban_last"


def test_states_are_handed_on_step_by_step_and_follow_their_rows(stateful: str) -> None:
    deciding = sampler({"name": stateful}, {"name": "greedy"})
    logits = torch.tensor([[3.0, 2.0, 1.0], [1.0, 2.0, 3.0]])
    first = deciding.decide(logits, Rows.of("ar", 2), deciding.start(2))
    assert first.chosen.tolist() == [0, 2]
    second = deciding.decide(logits, Rows.of("ar", 2, step=1), first.states)
    assert second.chosen.tolist() == [1, 1]
    again = deciding.decide(logits, Rows.of("ar", 2, step=1), first.states)
    assert again.chosen.tolist() == second.chosen.tolist()
    swapped = deciding.decide(logits, Rows.of("ar", 2, step=1), pick(first.states, torch.tensor([1, 0])))
    assert swapped.chosen.tolist() == [0, 2]
    forced = deciding.decide(logits, Rows.of("ar", 2), deciding.start(2), forced=torch.tensor([1, 1]))
    assert forced.states[stateful].last.tolist() == [1, 1]


def test_states_survive_an_edit_of_other_stages(stateful: str) -> None:
    stack = Stack.from_dict({"ar": [{"name": stateful}, {"name": "greedy"}]})
    before = Sampler(stack, "ar")
    states = before.decide(torch.tensor([[3.0, 2.0]]), Rows.of("ar"), before.start(1)).states
    after = Sampler(stack.set("temperature.value", 0.5).add(stateful), "ar")
    carried = after.carry(states, 1)
    assert carried[stateful] is states[stateful]
    assert carried[f"{stateful}#2"].last.tolist() == [-1]


def test_every_function_that_a_declaration_names_exists() -> None:
    for declaration in STAGES.values():
        for reference in (declaration.function, declaration.start, declaration.accept):
            assert reference is None or callable(resolve_function(reference))
