"""Remarks on stacks: what each says, and that a good stack gets none."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from valle.samplers import Stack, StackError
from valle.samplers.errors import RowError
from valle.samplers.lint import Remark, lint
from valle.samplers.rows import Rows
from valle.samplers.sampler import Sampler

PENALTY = {"name": "repetition_penalty", "penalty": 1.2}
DRAW = {"name": "draw"}
GREEDY = {"name": "greedy"}


def remarks(*stages: dict[str, Any], phase: str = "ar") -> list[tuple[str, str]]:
    return [(item.stage, item.text) for item in lint(Stack.from_dict({phase: list(stages)}))]


def test_a_good_stack_gets_no_remark() -> None:
    stages = (
        {"name": "minimum_length", "steps": 20},
        PENALTY,
        {"name": "top_k", "k": 50},
        {"name": "temperature", "value": 0.5},
        {"name": "stop_gate"},
        DRAW,
    )
    assert remarks(*stages) == []
    assert remarks(GREEDY, phase="nar") == []
    assert remarks({"name": "xtc"}, DRAW) == []
    assert remarks({"name": "temperature", "value": 0.6}, {"name": "repetition_aware"}) == []


@pytest.mark.parametrize(
    ("stages", "stage", "says"),
    [
        ([{"name": "top_k", "k": 0}, DRAW], "top_k", "does nothing: k is 0"),
        ([{"name": "top_p", "p": 1.0}, DRAW], "top_p", "does nothing: p is 1"),
        ([{"name": "ban_tokens", "ids": []}, DRAW], "ban_tokens", "does nothing: ids is empty"),
        (
            [{"name": "dynamic_temperature", "minimum": 2.0, "maximum": 1.5}, DRAW],
            "dynamic_temperature",
            "minimum 2 lowered to maximum 1.5",
        ),
        ([{"name": "top_k"}, PENALTY, DRAW], "repetition_penalty", "what top_k has cut"),
        ([{"name": "top_p"}, {"name": "dry"}, DRAW], "dry", "what top_p has cut"),
        ([{"name": "min_p"}, {"name": "minimum_length"}, DRAW], "minimum_length", "no id at all"),
        ([{"name": "top_h"}, {"name": "ban_tokens", "ids": [3]}, DRAW], "ban_tokens", "no id at all"),
        ([PENALTY, {"name": "xtc"}, GREEDY], "xtc", "greedy wants the best"),
        ([PENALTY, {"name": "typical"}, GREEDY], "typical", "may remove the best id"),
        ([PENALTY, {"name": "top_k"}, GREEDY], "top_k", "changes nothing"),
        ([PENALTY, {"name": "temperature", "value": 0.5}, GREEDY], "temperature", "changes nothing"),
        ([PENALTY, {"name": "top_k"}, {"name": "temperature", "value": 0}, DRAW], "top_k", "temperature"),
        ([PENALTY, {"name": "temperature", "value": 0}, {"name": "top_k"}, DRAW], "top_k", "leaves one id"),
        ([{"name": "temperature", "value": 0.6}, DRAW], "temperature", "a temperature of 0.6 may loop"),
        ([GREEDY], "greedy", "may loop"),
        ([{"name": "beam_search"}], "beam_search", "always what is most likely: may loop"),
        (
            [PENALTY, {"name": "temperature", "value": 0}, {"name": "best_of"}],
            "best_of",
            "one hypothesis and no other, as temperature leaves one id",
        ),
    ],
)
def test_what_is_odd(stages: list[dict[str, Any]], stage: str, says: str) -> None:
    found = remarks(*stages)
    assert [key for key, _ in found] == [stage]
    assert says in found[0][1]


def test_temperatures_multiply_and_a_curve_counts_with_its_lowest() -> None:
    curve = {"curve": "linear", "values": [1.0, 0.5], "begin": 0, "end": 100}
    warm = {"name": "temperature", "value": 0.8}
    assert remarks(warm, DRAW) == []
    assert "0.64" in dict(remarks(warm, warm, DRAW))["temperature#2"]
    assert "0.5" in dict(remarks({"name": "temperature", "value": curve}, DRAW))["temperature"]


def test_stages_that_are_off_are_not_judged() -> None:
    assert remarks({"name": "top_k", "on": False}, PENALTY, DRAW) == []
    assert remarks({"name": "top_k", "k": 0, "on": False}, DRAW) == []


def test_remarks_name_their_list_in_the_order_of_the_stack() -> None:
    idle = {"name": "top_k", "k": 0}
    stack = Stack.from_dict({"nar": [idle, DRAW], "nar.3": [idle, {"name": "top_p", "p": 1}, DRAW]})
    assert [(item.list, item.stage) for item in lint(stack)] == [
        ("nar", "top_k"),
        ("nar.3", "top_k"),
        ("nar.3", "top_p"),
    ]
    assert lint(stack)[0] == Remark("nar", "top_k", "does nothing: k is 0")


def test_a_truncation_before_greedy_is_not_lost_where_a_penalty_follows() -> None:
    found = dict(remarks({"name": "top_k"}, PENALTY, GREEDY))
    assert "top_k" not in found


def test_a_ban_after_a_truncation_does_leave_no_id() -> None:
    """What the remark warns of happens: the row of the sampler is empty then."""
    stages = [{"name": "top_k", "k": 1}, {"name": "ban_tokens", "ids": [2]}, DRAW]
    assert [key for key, _ in remarks(*stages)] == ["ban_tokens"]
    sampler = Sampler(Stack.from_dict({"ar": stages}), "ar")
    with pytest.raises(RowError, match="no id"):
        sampler.decide(torch.tensor([[0.0, 1.0, 5.0]]), Rows.of("ar"))


def test_only_a_stack_that_can_be_used_is_judged() -> None:
    with pytest.raises(StackError):
        remarks({"name": "top_k"}, GREEDY, DRAW)
