"""What each stage does, against values worked by hand and against transformers' own processors."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from valle.samplers import STAGES, Stack, find
from valle.samplers.rows import Rows
from valle.samplers.sampler import Sampler, resolve_function

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


STAGE_NAMES = sorted(name for name, item in STAGES.items() if item.kind == "stage")
EXAMPLES: dict[str, list[dict[str, Any]]] = {
    "allowed_range": [{"first": 2, "last": 9, "also": [0]}],
    "ban_tokens": [{"ids": [1, 3]}],
    "minimum_length": [{"steps": 4}],
    "min_p": [{"p": 0.2}],
    "repetition_penalty": [
        {"penalty": 1.4},
        {"penalty": 0.7, "decay": 0.5, "window": 3},
        {"count": "occurrence", "penalty": 1.2},
        {"normalize": True},
    ],
    "temperature": [{"value": 0.0}, {"value": 0.6}, {"value": 1.9}],
    "top_k": [{"k": 1}, {"k": 5}],
    "top_p": [{"p": 0.7}, {"p": 0.7, "rule": "llama3"}, {"p": 0.7, "rule": "below"}],
}
CASES = [(name, parameters) for name in STAGE_NAMES for parameters in EXAMPLES[name]]
seeds = st.integers(0, 10_000)
case = st.sampled_from(CASES)


def known_rows(rows: int, width: int, seed: int) -> Rows:
    generator = torch.Generator().manual_seed(seed)
    past = torch.randint(0, width, (rows, 6), generator=generator)
    length = torch.randint(0, 7, (rows,), generator=generator)
    return Rows.of("ar", rows, step=np.arange(rows) * 3, past=past, past_length=length, stop=width - 1)


def spaced_logits(rows: int, width: int, seed: int) -> Tensor:
    """Logits whose gaps exceed what floats can blur, in random order."""
    generator = torch.Generator().manual_seed(seed)
    order = torch.stack([torch.randperm(width, generator=generator) for _ in range(rows)]).float()
    return order * 0.37 - width * 0.2 + torch.rand(rows, 1, generator=generator)


@given(case, st.integers(1, 4), seeds)
def test_shape_is_kept_input_untouched_and_something_is_left(
    case: tuple[str, dict[str, Any]], rows: int, seed: int
) -> None:
    name, parameters = case
    logits = random_logits(rows, 12, seed)
    before = logits.clone()
    final = run(logits, {"name": name, **parameters}, rows=known_rows(rows, 12, seed))
    assert torch.equal(logits, before)
    assert final.shape == logits.shape and not final.isnan().any()
    assert (final > NEVER).any(-1).all()
    if find(name).keeps_argmax:
        assert torch.equal(final.argmax(-1), logits.argmax(-1))


@given(case, st.integers(2, 20), seeds)
def test_a_batch_is_its_rows_one_by_one(case: tuple[str, dict[str, Any]], rows: int, seed: int) -> None:
    name, parameters = case
    logits, known = spaced_logits(rows, 400, seed), known_rows(rows, 400, seed)
    together = run(logits, {"name": name, **parameters}, rows=known)
    assert known.past is not None and known.past_length is not None
    for row in range(rows):
        past, length = known.past[row : row + 1], known.past_length[row : row + 1]
        own = Rows.of("ar", step=int(known.step[row]), past=past, past_length=length, stop=known.stop)
        alone = run(logits[row : row + 1], {"name": name, **parameters}, rows=own)
        assert torch.allclose(together[row], alone[0], atol=1e-5)


@given(case.filter(lambda case: case[0] not in ("ban_tokens", "allowed_range", "minimum_length")), seeds)
def test_a_permutation_of_ids_permutes_the_result(case: tuple[str, dict[str, Any]], seed: int) -> None:
    name, parameters = case
    logits, known = spaced_logits(2, 12, seed), known_rows(2, 12, seed)
    order = torch.randperm(12, generator=torch.Generator().manual_seed(seed))
    place = order.argsort()
    assert known.past is not None
    moved = Rows.of("ar", 2, past=place[known.past], past_length=known.past_length)
    expected = run(logits, {"name": name, **parameters}, rows=known)[:, order]
    assert torch.allclose(
        run(logits[:, order], {"name": name, **parameters}, rows=moved), expected, atol=1e-5
    )


@pytest.mark.parametrize("name", STAGE_NAMES)
def test_neutral_parameters_change_nothing_even_when_run(name: str) -> None:
    declaration = find(name)
    values = {item.name: item.default for item in declaration.parameters}
    values |= {item.name: item.neutral for item in declaration.parameters if item.neutral is not None}
    logits = random_logits(3, 12)
    logits[0, :5] = NEVER
    apply = resolve_function(declaration.function)
    assert torch.equal(apply(logits, known_rows(3, 12, 0), values, None), logits)
    stack = Stack.from_dict({"ar": [{"name": name, **values}, {"name": "draw"}]})
    assert stack.effective("ar")[0].neutral


@given(case, seeds)
def test_rows_with_banned_ids_are_legal(case: tuple[str, dict[str, Any]], seed: int) -> None:
    name, parameters = case
    logits = random_logits(3, 12, seed)
    logits[:, 4:8] = NEVER
    final = run(logits, {"name": name, **parameters}, rows=known_rows(3, 12, seed))
    assert not final.isnan().any() and (final[:, 4:8] == NEVER).all()


@pytest.mark.parametrize("name", STAGE_NAMES)
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_rows(name: str, dtype: torch.dtype) -> None:
    declaration = find(name)
    values = {item.name: item.default for item in declaration.parameters} | EXAMPLES[name][0]
    final = resolve_function(declaration.function)(
        spaced_logits(3, 24, 0).to(dtype), known_rows(3, 24, 0), values, None
    )
    expected = run(
        spaced_logits(3, 24, 0).to(dtype).float(),
        {"name": name, **EXAMPLES[name][0]},
        rows=known_rows(3, 24, 0),
    )
    assert torch.allclose(final.float(), expected, atol=0.1)


PER_ROW = [
    ("temperature", "value", [0.0, 0.5, 1.7], {}),
    ("top_k", "k", [0.0, 3.0, 12.0], {}),
    ("top_p", "p", [0.3, 0.9, 1.0], {"rule": "reach"}),
    ("top_p", "p", [0.3, 0.9, 1.0], {"rule": "llama3"}),
    ("top_p", "p", [0.3, 0.9, 1.0], {"rule": "below"}),
    ("min_p", "p", [0.0, 0.2, 1.0], {}),
    ("minimum_length", "steps", [0.0, 2.0, 9.0], {}),
    ("repetition_penalty", "penalty", [1.0, 1.5, 0.8], {"window": 4, "decay": 0.0}),
    ("repetition_penalty", "window", [0.0, 1.0, 4.0], {"penalty": 1.5, "decay": 0.3}),
    ("repetition_penalty", "decay", [0.0, 1.0, 0.5], {"penalty": 1.5, "window": 5}),
]


@pytest.mark.parametrize(("name", "parameter", "values", "others"), PER_ROW)
@pytest.mark.parametrize("repeat", [1, 8])
def test_a_parameter_may_differ_from_row_to_row(
    name: str, parameter: str, values: list[float], others: dict[str, Any], repeat: int
) -> None:
    values = values * repeat
    logits, known = spaced_logits(len(values), 400, 3), known_rows(len(values), 400, 3)
    declared = find(name)
    defaults = {item.name: item.default for item in declared.parameters} | others
    apply = resolve_function(declared.function)
    together = apply(logits, known, defaults | {parameter: torch.tensor(values)[:, None]}, None)
    for row, value in enumerate(values):
        number = int(value) if declared.parameter(parameter).type == "integer" else value  # type: ignore[union-attr]
        alone = apply(logits, known, defaults | {parameter: number}, None)
        assert torch.allclose(together[row], alone[row], atol=1e-5)
