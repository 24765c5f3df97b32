"""What each stage does, against values worked by hand and against transformers' own processors."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from valle.samplers import Stack
from valle.samplers.rows import Rows
from valle.samplers.sampler import Sampler

NEVER = float("-inf")
GOLDEN = [2.0, 1.0, 0.0, -1.0, -2.0]


def run(logits: Tensor, *stages: dict[str, Any], rows: Rows | None = None, phase: str = "ar") -> Tensor:
    """The final logits of a stack of these stages."""
    stack = Stack.from_dict({phase: [*stages, {"name": "greedy"}]})
    return Sampler(stack, phase).final(logits, rows or Rows.of(phase, len(logits)))


def shares(probabilities: list[float], *stages: dict[str, Any]) -> list[float]:
    """What probabilities become."""
    return run(torch.tensor([probabilities]).log(), *stages).softmax(-1)[0].tolist()


def random_logits(rows: int, width: int, seed: int = 0) -> Tensor:
    return torch.randn(rows, width, generator=torch.Generator().manual_seed(seed)) * 3


HALF, THIRD = [0.5, 0.5, 0.0, 0.0], [1 / 3, 1 / 3, 1 / 3, 0.0]
BY_HAND: list[tuple[list[float], dict[str, Any], list[float]]] = [
    ([0.4, 0.3, 0.2, 0.1], {"name": "top_p", "p": 0.8}, [4 / 9, 3 / 9, 2 / 9, 0.0]),
    ([0.25] * 4, {"name": "top_p", "p": 0.5}, HALF),
    ([0.25] * 4, {"name": "top_p", "p": 0.5, "rule": "llama3"}, THIRD),
    ([0.25] * 4, {"name": "top_p", "p": 0.5, "rule": "below"}, HALF),
    ([0.5, 0.25, 0.125, 0.125], {"name": "top_p", "p": 0.6}, [2 / 3, 1 / 3, 0.0, 0.0]),
    ([0.5, 0.25, 0.125, 0.125], {"name": "top_p", "p": 0.6, "rule": "llama3"}, [2 / 3, 1 / 3, 0.0, 0.0]),
    ([0.5, 0.25, 0.125, 0.125], {"name": "top_p", "p": 0.6, "rule": "below"}, [1.0, 0.0, 0.0, 0.0]),
    ([0.1, 0.2, 0.3, 0.4], {"name": "top_p", "p": 0.0}, [0.0, 0.0, 0.0, 1.0]),
    ([0.1, 0.2, 0.3, 0.4], {"name": "top_p", "p": 0.0, "rule": "below"}, [0.0, 0.0, 0.0, 1.0]),
    ([0.1, 0.2, 0.3, 0.4], {"name": "top_k", "k": 2}, [0.0, 0.0, 3 / 7, 4 / 7]),
    ([0.25] * 4, {"name": "top_k", "k": 1}, [1.0, 0.0, 0.0, 0.0]),
    ([0.25] * 4, {"name": "top_k", "k": 3}, THIRD),
    ([0.1, 0.4, 0.25, 0.25], {"name": "top_k", "k": 2}, [0.0, 0.4 / 0.65, 0.25 / 0.65, 0.0]),
    ([0.4, 0.3, 0.2, 0.1], {"name": "top_k", "k": 9}, [0.4, 0.3, 0.2, 0.1]),
    ([0.4, 0.3, 0.2, 0.1], {"name": "min_p", "p": 0.6}, [4 / 7, 3 / 7, 0.0, 0.0]),
    ([0.4, 0.3, 0.2, 0.1], {"name": "min_p", "p": 1.0}, [1.0, 0.0, 0.0, 0.0]),
    ([0.4, 0.4, 0.2, 0.0], {"name": "min_p", "p": 1.0}, HALF),
    ([0.6, 0.3, 0.1], {"name": "temperature", "value": 0.5}, [0.36 / 0.46, 0.09 / 0.46, 0.01 / 0.46]),
    ([0.36, 0.16, 0.48], {"name": "temperature", "value": 0.0}, [0.0, 0.0, 1.0]),
    ([0.4, 0.4, 0.2], {"name": "temperature", "value": 0.0}, [1.0, 0.0, 0.0]),
    ([0.5, 0.3, 0.2], {"name": "ban_tokens", "ids": [0, 7]}, [0.0, 0.6, 0.4]),
    ([0.5, 0.3, 0.2], {"name": "allowed_range", "first": 1, "last": 1}, [0.0, 1.0, 0.0]),
    ([0.4, 0.3, 0.1, 0.2], {"name": "allowed_range", "first": 2, "also": [0]}, [4 / 7, 0.0, 1 / 7, 2 / 7]),
]


@pytest.mark.parametrize(("given_", "stage", "expected"), BY_HAND)
def test_values_worked_by_hand(given_: list[float], stage: dict[str, Any], expected: list[float]) -> None:
    assert shares(given_, stage) == pytest.approx(expected, abs=1e-6)


def test_golden_min_p_keeps_three() -> None:
    assert (run(torch.tensor([GOLDEN]), {"name": "min_p", "p": 0.1}) > NEVER).sum() == 3


def penalised(logits: list[float], past: list[int], **parameters: Any) -> list[float]:
    rows = Rows.of("ar", past=torch.tensor([past])) if past else Rows.of("ar")
    return run(torch.tensor([logits]), {"name": "repetition_penalty", **parameters}, rows=rows)[0].tolist()


def test_repetition_penalty_knows_the_sign() -> None:
    assert penalised([-2.0, 2.0, 1.0], [0, 1], penalty=1.5) == pytest.approx([-3.0, 4 / 3, 1.0])


def test_repetition_penalty_counts_ids_or_occurrences() -> None:
    assert penalised([8.0, -1.0], [0, 0, 0], penalty=2.0) == [4.0, -1.0]
    assert penalised([8.0, -1.0], [0, 0, 0], penalty=2.0, count="occurrence") == [1.0, -1.0]
    assert penalised([8.0, -1.0], [1, 1], penalty=2.0, count="occurrence") == [8.0, -4.0]


def test_repetition_penalty_looks_back_only_over_its_window() -> None:
    past = [0, 1, 2, 2]
    assert penalised([4.0, 4.0, 4.0], past, penalty=2.0, window=3) == [4.0, 2.0, 2.0]
    assert penalised([4.0, 4.0, 4.0], past, penalty=2.0, window=0) == [2.0, 2.0, 2.0]
    assert penalised([4.0] * 3, [0] + [1] * 75, penalty=2.0) == [4.0, 2.0, 4.0]


def test_repetition_penalty_fades_with_the_distance_of_the_latest_occurrence() -> None:
    # Id 0 was taken 1 and 4 steps ago, id 1 two steps ago: factors 1 + 0.5, 1 + 0.5 / 2.
    assert penalised([3.0, 3.0, 3.0], [0, 2, 1, 0], penalty=1.5, decay=1.0, window=3) == pytest.approx(
        [3 / 1.5, 3 / 1.25, 3 / (1 + 0.5 / 3)]
    )
    # Per occurrence both of id 0 count: (1 + 0.5) (1 + 0.5 / 4).
    assert penalised([3.0, 3.0], [0, 1, 1, 0], penalty=1.5, decay=1.0, count="occurrence")[
        0
    ] == pytest.approx(3 / (1.5 * 1.125))


def test_repetition_penalty_normalized_does_not_depend_on_a_shift() -> None:
    one = penalised([2.0, 1.0, 0.0], [0], penalty=1.3, normalize=True)
    other = penalised([12.0, 11.0, 10.0], [0], penalty=1.3, normalize=True)
    assert one == pytest.approx(other, abs=1e-5)
    assert one[0] == pytest.approx(1.3 * math.log(math.exp(2) / (math.exp(2) + math.exp(1) + 1)), abs=1e-6)


def test_repetition_penalty_of_a_batch_uses_each_rows_own_past() -> None:
    past = torch.tensor([[0, 1, 1], [2, 0, 0], [1, 1, 1]])
    rows = Rows.of("ar", 3, past=past, past_length=torch.tensor([2, 1, 0]))
    logits = torch.full((3, 3), 4.0)
    stage = {"name": "repetition_penalty", "penalty": 2.0}
    assert run(logits, stage, rows=rows).tolist() == [[2.0, 2.0, 4.0], [4.0, 4.0, 2.0], [4.0, 4.0, 4.0]]
    assert run(logits, {**stage, "decay": 1e-9}, rows=rows).tolist() == run(logits, stage, rows=rows).tolist()


def test_repetition_penalty_ignores_ids_that_the_head_does_not_have() -> None:
    assert penalised([4.0, 4.0], [1024, 1], penalty=2.0) == [4.0, 2.0]


def test_minimum_length_bans_stop_row_by_row() -> None:
    rows = Rows.of("ar", 3, step=[0, 9, 10], stop=1)
    final = run(torch.zeros(3, 2), {"name": "minimum_length", "steps": 10}, rows=rows)
    assert final.tolist() == [[0.0, NEVER], [0.0, NEVER], [0.0, 0.0]]


def test_a_dominant_stop_is_banned_before_truncation_leaves_others() -> None:
    stages = ({"name": "minimum_length", "steps": 5}, {"name": "top_k", "k": 1})
    final = run(torch.tensor([[1.0, 0.0, 99.0]]), *stages, rows=Rows.of("ar", stop=2))
    assert final.softmax(-1).tolist() == [[1.0, 0.0, 0.0]]


def processors() -> list[tuple[str, dict[str, Any], Callable[[], Any]]]:
    from transformers import generation as g

    return [
        ("temperature", {"value": 0.7}, lambda: g.TemperatureLogitsWarper(0.7)),
        ("top_k", {"k": 17}, lambda: g.TopKLogitsWarper(17)),
        ("top_p", {"p": 0.9}, lambda: g.TopPLogitsWarper(0.9)),
        ("top_p", {"p": 0.3}, lambda: g.TopPLogitsWarper(0.3)),
        ("min_p", {"p": 0.07}, lambda: g.MinPLogitsWarper(0.07)),
        ("ban_tokens", {"ids": [1, 5]}, lambda: g.SuppressTokensLogitsProcessor([1, 5])),
        (
            "repetition_penalty",
            {"penalty": 1.3, "window": 0},
            lambda: g.RepetitionPenaltyLogitsProcessor(1.3),
        ),
        (
            "minimum_length",
            {"steps": 12},
            lambda: g.MinNewTokensLengthLogitsProcessor(0, 12, eos_token_id=31),
        ),
    ]


@pytest.mark.parametrize("case", range(8))
@pytest.mark.parametrize(("rows", "width"), [(3, 32), (24, 512)])
def test_transformers_does_the_same_on_random_rows(case: int, rows: int, width: int) -> None:
    name, parameters, make = processors()[case]
    logits = random_logits(rows, width, case)
    past = torch.randint(0, width, (rows, 8), generator=torch.Generator().manual_seed(1))
    expected = make()(past, logits.clone())
    known = Rows.of("ar", rows, past=past, step=8, stop=31)
    assert torch.allclose(run(logits, {"name": name, **parameters}, rows=known), expected, atol=1e-5)
