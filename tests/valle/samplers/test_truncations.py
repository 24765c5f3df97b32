"""Truncations against golden values and values worked by hand."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from tests.valle.samplers.examples import GOLDEN, NEVER, kept, random_logits, run, shares
from valle.samplers import Stack
from valle.samplers.rows import Rows
from valle.samplers.sampler import Sampler

SLOPE = [0.5, 0.3, 0.15, 0.05]
STEPS = [0.5, 0.25, 0.125, 0.125]


def test_golden_values() -> None:
    assert kept(GOLDEN, {"name": "top_n_sigma", "n": 1.0}) == [0, 1]
    assert kept(GOLDEN, {"name": "min_p", "p": 0.1}) == [0, 1, 2]
    assert kept(GOLDEN, {"name": "top_a", "a": 0.2}) == [0, 1, 2]
    assert kept(GOLDEN, {"name": "p_less"}) == [0]
    # Typical takes the ids in the order 1, 0, 2, 3, 4: together they reach .234, .871, .957, .988.
    for p, ids in ((0.2, [1]), (0.8, [0, 1]), (0.9, [0, 1, 2]), (0.96, [0, 1, 2, 3])):
        assert kept(GOLDEN, {"name": "typical", "p": p}) == ids
    assert kept(GOLDEN, {"name": "xtc", "probability": 1.0, "threshold": 0.1}) == [1, 2, 3, 4]


BY_HAND: list[tuple[list[float], dict[str, Any], list[int]]] = [
    # Surprises of 1, 2, 3, 3 bits and an entropy of 1.75: the order is 1, 0, 2, 3.
    (STEPS, {"name": "typical", "p": 0.0}, [1]),
    (STEPS, {"name": "typical", "p": 0.2}, [1]),
    (STEPS, {"name": "typical", "p": 0.7}, [0, 1]),
    (STEPS, {"name": "typical", "p": 0.8}, [0, 1, 2]),
    (STEPS, {"name": "typical", "p": 0.9}, [0, 1, 2, 3]),
    ([0.25] * 4, {"name": "typical", "p": 0.4}, [0, 1]),
    # Differences .2, .15, .1; second differences .05, .05.
    (SLOPE, {"name": "tail_free", "z": 0.0}, [0]),
    (SLOPE, {"name": "tail_free", "z": 0.4}, [0]),
    (SLOPE, {"name": "tail_free", "z": 0.6}, [0, 1]),
    # Second differences .3, .05, .05: their sums are .75, .875, 1 of the whole.
    ([0.6, 0.2, 0.1, 0.05, 0.05], {"name": "tail_free", "z": 0.5}, [0]),
    ([0.6, 0.2, 0.1, 0.05, 0.05], {"name": "tail_free", "z": 0.8}, [0, 1]),
    ([0.6, 0.2, 0.1, 0.05, 0.05], {"name": "tail_free", "z": 0.9}, [0, 1, 2]),
    ([0.05, 0.6, 0.1, 0.0, 0.2, 0.05], {"name": "tail_free", "z": 0.8}, [1, 4]),
    ([0.5, 0.5, 0.0, 0.0], {"name": "tail_free", "z": 0.1}, [0, 1]),
    ([0.25] * 4, {"name": "tail_free", "z": 0.1}, [0, 1, 2, 3]),
    # Entropy in bits: .5, .5, .375, .375, together 1.75.
    (STEPS, {"name": "top_h", "h": 0.0}, [0]),
    (STEPS, {"name": "top_h", "h": 0.2}, [0]),
    (STEPS, {"name": "top_h", "h": 0.6}, [0, 1]),
    (STEPS, {"name": "top_h", "h": 0.8}, [0, 1, 2]),
    # Of the two best alone, 2/3 and 1/3: .39, .53 bits.
    (STEPS, {"name": "top_h", "h": 0.5, "candidates": 2}, [0]),
    (STEPS, {"name": "top_h", "h": 0.99, "candidates": 0}, [0, 1, 2]),
    ([1.0, 0.0, 0.0], {"name": "top_h", "h": 0.5}, [0]),
    (SLOPE, {"name": "top_a", "a": 0.5}, [0, 1, 2]),
    (SLOPE, {"name": "top_a", "a": 1.0}, [0, 1]),
    (SLOPE, {"name": "epsilon", "epsilon": 0.1}, [0, 1, 2]),
    (SLOPE, {"name": "epsilon", "epsilon": 0.9}, [0]),
    ([0.4, 0.4, 0.2], {"name": "epsilon", "epsilon": 0.5}, [0, 1]),
    # The entropy is 1.27985 nats: sqrt(.25) e^-H is .139.
    ([0.4, 0.3, 0.2, 0.1], {"name": "eta", "epsilon": 0.25}, [0, 1, 2]),
    ([0.4, 0.3, 0.2, 0.1], {"name": "epsilon", "epsilon": 0.25}, [0, 1]),
    # The entropy is .1677: sqrt(.02) e^-H is .12, so that epsilon itself is the threshold.
    ([0.95, 0.03, 0.01, 0.01], {"name": "eta", "epsilon": 0.02}, [0, 1]),
    # The sum of the squares is .315.
    ([0.4, 0.35, 0.15, 0.1], {"name": "p_less"}, [0, 1]),
    ([1.0, 0.0], {"name": "p_less"}, [0]),
]


@pytest.mark.parametrize(("probabilities", "stage", "ids"), BY_HAND)
def test_values_worked_by_hand(probabilities: list[float], stage: dict[str, Any], ids: list[int]) -> None:
    assert kept(torch.tensor(probabilities).log().tolist(), stage) == ids


def test_an_even_row_loses_nothing_to_its_own_likelihood() -> None:
    assert len(kept([0.1] * 1025, {"name": "p_less"})) == 1025


def test_top_n_sigma_measures_what_can_be_taken() -> None:
    # The deviation of 2, 1, 0, -1, -2 is sqrt 2.
    assert kept(GOLDEN, {"name": "top_n_sigma", "n": 2.1}) == [0, 1, 2]
    assert kept([2.0, NEVER, 1.0, 0.0, -1.0, -2.0, NEVER], {"name": "top_n_sigma", "n": 1.0}) == [0, 2]
    assert kept([0.5], {"name": "top_n_sigma", "n": 1.0}) == [0]
    assert kept([NEVER, 3.0], {"name": "top_n_sigma", "n": 1.0}) == [1]
    assert kept([3.0, 3.0], {"name": "top_n_sigma", "n": 1.0}) == [0, 1]
    assert kept(GOLDEN, {"name": "top_n_sigma", "n": 0.0}) == [0, 1, 2, 3, 4]


def test_temperature_does_not_change_what_top_n_sigma_keeps() -> None:
    logits = random_logits(8, 200)
    stage = {"name": "top_n_sigma", "n": 1.3}
    for value in (0.3, 2.5):
        cooled = run(logits, {"name": "temperature", "value": value}, stage)
        assert torch.equal(cooled > NEVER, run(logits, stage) > NEVER)


XTC = {"name": "xtc", "probability": 1.0, "threshold": 0.15}


def test_xtc_keeps_the_least_likely_of_the_top() -> None:
    assert shares([0.4, 0.3, 0.2, 0.1], XTC) == pytest.approx([0, 0, 2 / 3, 1 / 3], abs=1e-6)
    assert kept([0.0, 3.0, 0.0], XTC) == [0, 1, 2]
    # Of equals the lowest id stays.
    assert shares([0.1, 0.3, 0.3, 0.3], XTC) == pytest.approx([0.25, 0.75, 0, 0], abs=1e-6)


def test_xtc_leaves_stop_alone() -> None:
    def left(stop: int, *probabilities: float) -> list[int]:
        return kept(torch.tensor(probabilities).log().tolist(), XTC, rows=Rows.of("ar", stop=stop))

    assert left(0, 0.4, 0.3, 0.2, 0.1) == [0, 2, 3]
    # Stop is not what stays of the top either: it would become likely by that.
    assert left(2, 0.4, 0.3, 0.2, 0.1) == [1, 2, 3]
    assert left(1, 0.4, 0.35, 0.13, 0.12) == [0, 1, 2, 3]
    assert left(9, 0.4, 0.3, 0.2, 0.1) == [2, 3]


def test_xtc_happens_as_often_as_it_says() -> None:
    rows = Rows.of("ar", 4000, step=np.arange(4000))
    final = run(torch.tensor([GOLDEN]).expand(4000, -1), {**XTC, "probability": 0.3}, rows=rows)
    happened = (final[:, 0] == NEVER).double().mean().item()
    assert happened == pytest.approx(0.3, abs=4 * (0.3 * 0.7 / 4000) ** 0.5)
    # One die for a row, the same every time, and not the noise that chooses the token.
    again = run(torch.tensor([GOLDEN]).expand(4000, -1), {**XTC, "probability": 0.3}, rows=rows)
    assert torch.equal(again, final)
    die, choice = rows.noise("xtc", 1)[:, 0], rows.noise("choose", 1)[:, 0]
    assert abs(np.corrcoef(die, choice)[0, 1]) < 0.08


def test_xtc_that_does_not_happen_shifts_no_noise() -> None:
    logits, rows = random_logits(50, 30), Rows.of("ar", 50, step=np.arange(50))
    plain = Stack.from_dict({"ar": [{"name": "draw"}]})
    with_xtc = plain.add("xtc", {"probability": 1e-9, "threshold": 0.01})
    tokens = [Sampler(stack, "ar").decide(logits, rows).tokens for stack in (plain, with_xtc)]
    assert torch.equal(*tokens)


@pytest.mark.parametrize("rule", ["reach", "llama3", "below"])
@pytest.mark.parametrize("rows", [1, 20])
def test_the_rules_of_top_p_by_their_definitions(rule: str, rows: int) -> None:
    logits = random_logits(rows, 500, 4) / 2
    final = run(logits, {"name": "top_p", "p": 0.85, "rule": rule})
    for row, left in zip(logits.double(), final > NEVER, strict=True):
        probability, ids = row.softmax(-1).sort(descending=True)
        total = probability.cumsum(-1)
        stays = {
            "reach": total - probability < 0.85,
            "llama3": total - probability <= 0.85,
            "below": total <= 0.85,
        }[rule]
        stays[0] = True
        assert set(ids[stays].tolist()) == set(left.nonzero()[:, 0].tolist())


@pytest.mark.parametrize("name", ["top_k", "top_p", "typical", "tail_free", "top_h"])
def test_a_tie_at_a_cut_goes_to_the_lowest_id(name: str) -> None:
    parameter = {"top_k": "k", "top_p": "p", "typical": "p", "tail_free": "z", "top_h": "h"}[name]
    # Two likely ids, then ten equals of which some are left.
    logits = [5.0, 4.0] + [1.0] * 10
    for value in (5,) if name == "top_k" else (0.5, 0.9, 0.97, 0.99):
        ids = kept(logits, {"name": name, parameter: value})
        equals = [token for token in ids if token > 1]
        assert equals == list(range(2, 2 + len(equals)))
    reverse = kept(logits[::-1], {"name": name, parameter: value})
    assert [token for token in reverse if token < 10] == list(range(len(equals)))
