"""Choosers that look at what was taken before: mirostat, adaptive-p, repetition-aware sampling."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from scipy import stats
from torch import Tensor

from tests.valle.samplers.examples import GOLDEN, NEVER, known_rows, one_of, random_logits
from valle.samplers import Stack, StackError
from valle.samplers.functions.adaptive_p import adaptive_values
from valle.samplers.functions.choosers import log_probabilities
from valle.samplers.functions.mirostat import mirostat_kept, zipf_exponent
from valle.samplers.functions.repetition_aware import nucleus_of
from valle.samplers.rows import Rows
from valle.samplers.sampler import Sampler, pick

EXAMPLES: list[dict[str, Any]] = [
    {"name": "mirostat", "target": 2.0},
    {"name": "mirostat", "target": 2.0, "version": 1, "candidates": 9, "surprise": "kept"},
    {"name": "mirostat", "target": {"curve": "linear", "values": [1, 3], "end": 3, "over": "entropy"}},
    {"name": "adaptive_p", "target": 0.3},
    {"name": "adaptive_p", "decay": {"curve": "list", "values": [0.5, 0.0, 0.9]}},
    {"name": "repetition_aware", "window": 3},
    {"name": "repetition_aware", "redraw": "banned", "rule": "reaching", "top_k": 3},
    {"name": "repetition_aware", "redraw": "tempered", "redraw_top_p": 0.9, "top_p": 0.0},
    {
        "name": "repetition_aware",
        "window": {"curve": "linear", "values": [2, 20], "end": 9},
        "top_p": {"curve": "linear", "values": [0.1, 1.0], "end": 3, "over": "entropy"},
    },
]
"""The choosers with parameters to test them with."""

every_chooser = pytest.mark.parametrize("chooser", EXAMPLES, ids=lambda item: item["name"])


def sampler(chooser: dict[str, Any]) -> Sampler:
    return Sampler(Stack.from_dict({"ar": [chooser]}), "ar")


def logits_of(probabilities: list[float]) -> Tensor:
    return torch.tensor([probabilities]).log()


def zipf(exponent: float, width: int) -> Tensor:
    """Log-probabilities [1, V] that fall as the rank to the power of minus the exponent."""
    return (-exponent * torch.arange(1, width + 1, dtype=torch.float64).log()).log_softmax(0).float()[None]


def kept_ids(logits: Tensor, mu: float, **parameters: Any) -> list[int]:
    values = {"version": 2, "candidates": 100} | parameters
    return np.flatnonzero(mirostat_kept(logits.numpy(), np.full(len(logits), mu), values)[0]).tolist()


def draws(chooser: dict[str, Any], logits: Tensor, past: list[int] | None = None, count: int = 3000) -> Any:
    """How often each id is taken in the same situation, at so many steps."""
    history = None if past is None else torch.tensor([past])
    rows = Rows.of("ar", count, seed=5, step=np.arange(count), past=history)
    deciding = sampler(chooser)
    chosen = deciding.decide(logits.expand(count, -1), rows, measure="none").chosen
    return np.bincount(chosen, minlength=logits.shape[-1])


def follows(seen: Any, probabilities: list[float]) -> bool:
    """Whether counts come from these probabilities; what has none may not be seen."""
    expected = np.array(probabilities) / sum(probabilities) * seen.sum()
    possible = expected > 0
    if seen[~possible].any():
        return False
    return bool(possible.sum() == 1 or stats.chisquare(seen[possible], expected[possible]).pvalue > 1e-3)


def test_mirostat_2_keeps_what_surprises_at_most_mu() -> None:
    golden = torch.tensor([GOLDEN])
    assert kept_ids(golden, 3.0) == [0, 1]
    # The surprises are 0.652, 2.095, 3.537, 4.980, 6.423 bits.
    assert [len(kept_ids(golden, mu)) for mu in (-9.0, 0.7, 2.0, 2.2, 3.6, 5.0, 7.0)] == [1, 1, 1, 2, 3, 4, 5]
    # The first mu is twice the target.
    assert follows(draws({"name": "mirostat", "target": 1.5}, golden), [0.731059, 0.268941, 0, 0, 0])


@pytest.mark.parametrize("exponent", [0.8, 1.2, 2.5])
@pytest.mark.parametrize("mu", [1.0, 4.0, 6.5])
def test_mirostat_1_keeps_the_k_of_the_papers_equation(exponent: float, mu: float) -> None:
    row, width = zipf(exponent, 1025), 1025
    assert zipf_exponent(row[:, :100].double().numpy()) == pytest.approx([exponent], abs=1e-5)
    epsilon = exponent - 1
    k = (epsilon * 2**mu / (1 - width**-epsilon)) ** (1 / exponent)
    assert kept_ids(row, mu, version=1) == list(range(max(1, round(k))))


def test_mirostat_1_where_the_equation_has_no_value() -> None:
    # At an exponent of 1 it has the limit 2^mu / ln V.
    assert len(kept_ids(zipf(1.0, 1025), 6.0, version=1)) == round(64 / math.log(1025))
    assert len(kept_ids(torch.zeros(1, 40), 1.0, version=1)) == 40
    assert kept_ids(torch.tensor([[NEVER, 2.0, NEVER, 1.0]]), 99.0, version=1) == [1, 3]
    assert kept_ids(torch.tensor([[NEVER, 2.0, NEVER]]), 3.0, version=1) == [1]
    assert kept_ids(torch.tensor([[2.0]]), 3.0, version=1) == [0]


@pytest.mark.parametrize("version", [1, 2])
def test_mirostat_keeps_at_least_the_best_and_at_most_all(version: int) -> None:
    row = zipf(1.3, 60).flip(-1)
    assert kept_ids(row, -1e6, version=version) == [59]
    assert kept_ids(row, 1e6, version=version) == list(range(60))


@pytest.mark.parametrize(("version", "surprise"), [(1, "row"), (2, "row"), (2, "kept")])
def test_mirostat_holds_its_target_surprise(version: int, surprise: str) -> None:
    target, count = 3.0, 2000
    deciding = sampler({"name": "mirostat", "target": target, "version": version, "surprise": surprise})
    row = zipf(1.1, 1025)
    bits = -row[0].double().numpy() / math.log(2)
    states, total = deciding.start(1), 0.0
    for step in range(count):
        greatest = float(states["mirostat"].mu)
        decision = deciding.decide(row, Rows.of("ar", seed=2, step=step), states, measure="none")
        states = decision.states
        total += bits[decision.chosen[0]]
        if surprise == "kept":
            total += math.log2((2 ** -bits[bits <= max(greatest, bits[0])]).sum())
    assert total / count == pytest.approx(target, rel=0.05)


def test_mu_moves_against_the_error() -> None:
    golden = torch.tensor([GOLDEN])
    of_row = sampler({"name": "mirostat", "target": 1.5})
    of_kept = sampler({"name": "mirostat", "target": 1.5, "surprise": "kept"})
    # Id 4 is not among the kept ones.
    for deciding, forced, expected in (
        (of_row, 1, 3 - 0.1 * (2.094675 - 1.5)),
        (of_kept, 1, 3 - 0.1 * (1.894636 - 1.5)),
        (of_row, 4, 3 - 0.1 * (6.422755 - 1.5)),
        (of_kept, 4, 3.0),
    ):
        states = deciding.decide(golden, Rows.of("ar"), forced=torch.tensor([forced])).states
        assert float(states["mirostat"].mu) == pytest.approx(expected, abs=1e-5)


def test_a_target_on_a_curve_starts_from_its_first_value() -> None:
    curve = {"curve": "list", "values": [0.25, 0.5]}
    assert sampler({"name": "mirostat", "target": curve}).start(2)["mirostat"].mu.tolist() == [0.5, 0.5]
    assert sampler({"name": "adaptive_p", "target": curve}).start(1)["adaptive_p"].average.tolist() == [0.25]


def test_adaptive_p_at_its_first_step() -> None:
    expected = [-0.92757, 4.60461, 2.03292, 0.77740, 0.28948]
    values = adaptive_values(torch.tensor([GOLDEN]).numpy(), np.array([[0.3]]))
    assert values[0] == pytest.approx(expected, abs=1e-5)
    seen = draws({"name": "adaptive_p", "target": 0.3}, torch.tensor([GOLDEN]))
    assert follows(seen, np.exp(expected).tolist())


def test_adaptive_p_remembers_the_probability_of_what_it_took() -> None:
    deciding = sampler({"name": "adaptive_p", "target": 0.3})
    decision = deciding.decide(torch.tensor([GOLDEN]), Rows.of("ar"), forced=torch.tensor([0]))
    assert float(decision.states["adaptive_p"].average) == pytest.approx(0.9 * 0.3 + 0.1 * 0.636409, abs=1e-6)
    assert decision.log_probability[0] == pytest.approx(math.log(0.636409), abs=1e-5)


def test_adaptive_p_never_takes_what_cannot_be_taken() -> None:
    logits = torch.tensor([[NEVER, 0.0, NEVER, 0.0]])
    assert (adaptive_values(logits.numpy(), np.array([[0.0]]))[0, [0, 2]] == NEVER).all()
    assert follows(draws({"name": "adaptive_p", "target": 0.0}, logits), [0, 0.5, 0, 0.5])


SHARES = [0.4, 0.3, 0.2, 0.1]
BEST = {"name": "repetition_aware", "top_p": 0.0}
"""The first draw is always id 0."""


@pytest.mark.parametrize(
    ("past", "parameters", "expected"),
    [
        (None, {}, [1, 0, 0, 0]),
        ([0], {}, [1, 0, 0, 0]),
        ([0, 1, 1, 1, 1, 1, 1, 1, 1, 1], {}, [1, 0, 0, 0]),
        ([0, 1, 1, 1, 1, 1, 1, 1, 1, 1], {"rule": "reaching"}, SHARES),
        ([0], {"rule": "reaching"}, SHARES),
        ([0, 0], {}, SHARES),
        ([0, 0], {"threshold": 0.2}, [1, 0, 0, 0]),
        ([0, 0, 0, 1, 2, 3], {"window": 3}, [1, 0, 0, 0]),
        ([0, 0, 0, 1, 2, 3], {"window": 4}, SHARES),
        ([0, 0], {"redraw": "banned"}, [0, 0.3, 0.2, 0.1]),
        ([0, 0], {"redraw": "tempered", "redraw_temperature": 0.5}, [0.16, 0.09, 0.04, 0.01]),
        (
            [0, 0],
            {"redraw": "tempered", "redraw_temperature": 0.5, "redraw_top_p": 0.8},
            [0.16, 0.09, 0, 0],
        ),
        ([3, 3], {"top_p": 0.6}, [0.4, 0.3, 0, 0]),
        ([3, 3], {"top_p": 1.0, "top_k": 3}, [0.4, 0.3, 0.2, 0]),
        # Id 0 alone repeats: 4/7 of the first draws, and these are drawn again from all.
        ([0, 0], {"top_p": 0.6}, [4 / 7 * 0.4, 3 / 7 + 4 / 7 * 0.3, 4 / 7 * 0.2, 4 / 7 * 0.1]),
        ([0, 0], {"top_p": 0.6, "redraw": "banned"}, [0, 3 / 7 + 4 / 14, 4 / 21, 4 / 42]),
    ],
)
def test_repetition_aware_worked_by_hand(
    past: list[int] | None, parameters: dict[str, Any], expected: list[float]
) -> None:
    assert follows(draws(BEST | parameters, logits_of(SHARES), past), expected)


def test_the_second_draw_has_noise_of_its_own() -> None:
    logits = random_logits(6, 20)
    rows = Rows.of("ar", 6, seed=3, step=np.arange(6), past=logits.argmax(-1, keepdim=True).expand(-1, 2))
    decision = sampler(BEST).decide(logits, rows)
    assert decision.chosen.tolist() == (logits.numpy() + rows.gumbel("redraw", 20)).argmax(-1).tolist()
    expected = logits.log_softmax(-1)[range(6), decision.chosen.tolist()]
    assert decision.log_probability == pytest.approx(expected.numpy(), abs=1e-5)


def test_the_last_id_that_is_left_is_taken_again() -> None:
    logits = torch.tensor([[NEVER, 1.0, NEVER]])
    assert draws(BEST | {"redraw": "banned"}, logits, [1, 1, 1], count=5).tolist() == [0, 5, 0]


def test_each_row_is_judged_by_its_own_past() -> None:
    logits = logits_of(SHARES).expand(3, -1)
    rows = Rows.of("ar", 3, past=torch.tensor([[0, 0], [0, 0], [1, 1]]), past_length=torch.tensor([2, 1, 2]))
    chosen = sampler(BEST | {"redraw": "banned"}).decide(logits, rows).chosen
    assert chosen[0] != 0 and chosen[1:].tolist() == [0, 0]


def test_the_nucleus_is_the_smallest_set_and_ties_go_to_the_lowest_ids() -> None:
    flat = np.zeros((1, 4), dtype=np.float32)
    assert np.isfinite(nucleus_of(flat, 0.5, 0))[0].tolist() == [True, True, False, False]
    assert np.isfinite(nucleus_of(flat, 1.0, 3))[0].tolist() == [True, True, True, False]
    assert np.isfinite(nucleus_of(flat, 1.0, 0)).all()


def test_log_probabilities_are_those_of_torch() -> None:
    logits = random_logits(3, 50)
    logits[0, 7] = NEVER
    assert np.allclose(log_probabilities(logits.numpy()), logits.double().log_softmax(-1).numpy(), atol=1e-12)


@every_chooser
def test_a_batch_is_its_rows_one_by_one_with_their_states(chooser: dict[str, Any]) -> None:
    deciding, known = sampler(chooser), known_rows(5, 12, 4)
    together, alone = deciding.start(5), [deciding.start(1) for _ in range(5)]
    for turn in range(3):
        logits = random_logits(5, 12, turn)
        before = logits.clone()
        decision = deciding.decide(logits, known, together)
        assert torch.equal(logits, before)
        together = decision.states
        for row in range(5):
            one = deciding.decide(logits[row : row + 1], one_of(known, row), alone[row])
            alone[row] = one.states
            assert one.chosen[0] == decision.chosen[row]
            for key, state in pick(together, torch.tensor([row])).items():
                assert state == one.states[key]


@pytest.mark.parametrize("chooser", [item for item in EXAMPLES if item["name"] != "repetition_aware"])
def test_states_are_carried_over_an_edit_and_follow_their_rows(chooser: dict[str, Any]) -> None:
    name, deciding = chooser["name"], sampler(chooser)
    states = deciding.decide(random_logits(2, 12), known_rows(2, 12, 0), deciding.start(2)).states
    edited = Sampler(Stack.from_dict({"ar": [chooser]}).set("temperature.value", 0.5), "ar")
    assert edited.carry(states, 2)[name] is states[name]
    other = Sampler(Stack.from_dict({"ar": [{"name": "draw"}]}), "ar")
    assert other.carry(states, 2) == {}
    value = {"mirostat": "mu", "adaptive_p": "average"}[name]
    kept, swapped = states[name], pick(states, torch.tensor([1, 0]))[name]
    assert getattr(swapped, value).tolist() == getattr(kept, value).tolist()[::-1]


@every_chooser
@pytest.mark.parametrize("scale", [0.0, 1e-6, 1e3])
def test_rows_at_the_limits_are_decided(chooser: dict[str, Any], scale: float) -> None:
    logits = random_logits(4, 12) * scale
    logits[1, 3:] = NEVER
    logits[2, 1:] = NEVER
    deciding = sampler(chooser)
    states = deciding.start(4)
    for _ in range(3):
        decision = deciding.decide(logits, known_rows(4, 12, 1), states)
        states = decision.states
        assert np.isfinite(decision.log_probability).all() and not np.isnan(decision.margin).any()
        assert decision.chosen[1] < 3 and decision.chosen[2] == 0 and decision.runner_up[2] == -1
        for state in states.values():
            assert all(getattr(state, name).isfinite().all() for name in state.__slots__)


@pytest.mark.parametrize("name", ["mirostat", "adaptive_p", "repetition_aware"])
@pytest.mark.parametrize("phase", ["nar", "nar_len", "nar.2"])
def test_where_there_is_no_past_they_are_refused(name: str, phase: str) -> None:
    with pytest.raises(StackError, match=f"{phase}:{name} makes no sense"):
        Stack.from_dict({phase: [{"name": name}]})
