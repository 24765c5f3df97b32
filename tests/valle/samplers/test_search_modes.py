"""What a search goes on with, and how it ranks what it found, worked by hand."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from valle.samplers import Stack, StackError, find
from valle.samplers.functions.search import (
    Tally,
    beam_children,
    beam_score,
    best_of_score,
    can_still_win,
    ranking,
)
from valle.samplers.rows import Rows
from valle.samplers.sampler import Sampler


def tally(*hypotheses: tuple[int, float, float, bool]) -> Tally:
    """Length, log-probability, raw log-probability, stopped."""
    length, total, raw, stopped = zip(*hypotheses, strict=True)
    return Tally(np.array(length), np.array(total), np.array(raw), np.array(stopped))


THREE = tally((4, -2.0, -6.0, True), (2, -1.5, -2.0, True), (1, -0.9, -4.0, True))


@pytest.mark.parametrize(
    ("parameters", "expected"),
    [
        ({"length_penalty": 1.0, "form": "power"}, [-0.5, -0.75, -0.9]),
        ({"length_penalty": 0.0, "form": "power"}, [-2.0, -1.5, -0.9]),
        ({"length_penalty": 2.0, "form": "power"}, [-0.125, -0.375, -0.9]),
        ({"length_penalty": 1.0, "form": "gnmt"}, [-2.0 / 1.5, -1.5 * 6 / 7, -0.9]),
    ],
)
def test_the_length_penalty(parameters: dict[str, Any], expected: list[float]) -> None:
    assert beam_score(THREE, parameters).tolist() == pytest.approx(expected)


@pytest.mark.parametrize(("score", "best"), [("mean", 0), ("raw_mean", 1), ("total", 2), ("shortest", 2)])
def test_the_best_of_three(score: str, best: int) -> None:
    assert ranking(THREE, best_of_score(THREE, {"score": score}))[0] == best


def test_what_found_an_end_comes_first_and_the_lower_number_among_equals() -> None:
    found = tally((9, -1.0, 0.0, False), (5, -4.0, 0.0, True), (3, -4.0, 0.0, True), (3, -0.5, 0.0, False))
    assert ranking(found, found.total).tolist() == [1, 2, 3, 0]


def test_beams_go_on_with_the_best_sums() -> None:
    final = np.log([[0.5, 0.4, 0.1], [0.9, 0.05, 0.05]])
    row, token = beam_children(final, np.log([0.6, 0.4]), 2, None)
    # .6 x .5 = .30, .4 x .9 = .36.
    assert list(zip(row.tolist(), token.tolist(), strict=True)) == [(1, 0), (0, 0)]


def test_an_end_takes_no_beam_away_and_must_be_among_the_best() -> None:
    final = np.log([[0.5, 0.3, 0.2]])
    row, token = beam_children(final, np.zeros(1), 2, 0)
    assert (row.tolist(), token.tolist()) == ([0, 0, 0], [0, 1, 2])
    row, token = beam_children(final, np.zeros(1), 2, 2)
    assert token.tolist() == [0, 1]


def test_equal_beams_go_by_row_and_id_and_nothing_goes_on_that_cannot_be_taken() -> None:
    row, token = beam_children(np.zeros((2, 3)), np.zeros(2), 4, None)
    assert list(zip(row.tolist(), token.tolist(), strict=True)) == [(0, 0), (0, 1), (0, 2), (1, 0)]
    row, token = beam_children(np.array([[1.0, -np.inf, -np.inf]]), np.zeros(1), 4, None)
    assert token.tolist() == [0]


def test_a_beam_can_still_win_while_its_bound_is_higher() -> None:
    power = {"length_penalty": 1.0, "form": "power"}
    assert can_still_win(np.array([-8.0]), -0.5, 9, 20, power)
    assert not can_still_win(np.array([-8.0]), -0.5, 9, 15, power)
    assert not can_still_win(np.array([-1.0]), -0.5, 9, 10**6, {"length_penalty": 0.0, "form": "power"})


@pytest.mark.parametrize("name", ["beam_search", "best_of"])
def test_a_search_stands_where_a_chooser_would(name: str) -> None:
    stack = Stack.from_dict({"ar": [{"name": "draw"}], "nar": [{"name": "greedy"}]}).add(name)
    assert [stage.name for stage in stack.lists["ar"]] == [name]
    assert [stage.name for stage in stack.set("draw.on", True).lists["ar"]] == ["draw"]
    for phase in ("nar", "nar_len", "len"):
        with pytest.raises(StackError, match=f"makes no sense in {phase}"):
            Stack.from_dict({phase: [{"name": name}]})
    assert find(name).decides and {"stt", "phn", "un_phn"} <= set(find(name).phases)
    with pytest.raises(StackError, match="cannot be switched off"):
        stack.switch(name, False)


@pytest.mark.parametrize("name", ["beam_search", "best_of"])
def test_single_steps_are_not_decided_by_a_search(name: str) -> None:
    import torch

    sampler = Sampler(Stack.from_dict({"ar": [{"name": "top_k", "k": 2}, {"name": name}]}), "ar")
    assert sampler.search is not None and sampler.search.key == name
    with pytest.raises(StackError, match=f"{name} searches over several steps"):
        sampler.decide(torch.zeros(1, 5), Rows.of("ar"))
    assert int((sampler.final(torch.zeros(1, 5), Rows.of("ar")) == 0).sum()) == 2
