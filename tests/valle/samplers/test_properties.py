"""What holds for every stage: one module that walks the registry."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from tests.valle.samplers.examples import (
    EXAMPLES,
    NEVER,
    known_rows,
    one_of,
    random_logits,
    run,
    spaced_logits,
)
from valle.samplers import STAGES, Stack, find
from valle.samplers.declaration import Parameter
from valle.samplers.sampler import resolve_function

STAGE_NAMES = sorted(name for name, item in STAGES.items() if item.kind == "stage")
TRUNCATIONS = [name for name in STAGE_NAMES if find(name).family == "truncation"]
OF_SINGLE_IDS = ("ban_tokens", "allowed_range", "logit_bias", "silence_penalty")
"""Stages whose parameters name ids, so that they change when ids change places."""
MAY_BAN_ALL = ("ban_tokens", "allowed_range", "minimum_length", "no_repeat_ngram")
"""Stages that forbid an id even where it is the last one."""

every_stage = pytest.mark.parametrize("name", STAGE_NAMES)
seeds = st.integers(0, 10_000)
few = settings(max_examples=max(5, settings.default.max_examples // 5))


def cases(name: str) -> list[dict[str, Any]]:
    """The stage with each set of parameters that it is tested with."""
    return [{"name": name, **parameters} for parameters in EXAMPLES[name]]


def apply(name: str, logits: Tensor, rows: Any, **parameters: Any) -> Tensor:
    """The stage's function as it is, without the runner; what is not given has its default."""
    function: Callable[..., Tensor] = resolve_function(find(name).function)
    values = {item.name: item.default for item in find(name).parameters}
    return function(logits, rows, values | parameters, None)


def test_every_stage_is_tested() -> None:
    assert sorted(EXAMPLES) == STAGE_NAMES


@every_stage
@few
@given(st.integers(1, 4), seeds)
def test_shape_is_kept_input_untouched_and_something_is_left(name: str, rows: int, seed: int) -> None:
    logits, known = random_logits(rows, 12, seed), known_rows(rows, 12, seed)
    assert known.past is not None
    before, past = logits.clone(), known.past.clone()
    for stage in cases(name):
        final = run(logits, stage, rows=known)
        assert torch.equal(logits, before) and torch.equal(known.past, past)
        assert final.shape == logits.shape and final.dtype == logits.dtype
        assert not final.isnan().any() and (final < torch.inf).all()
        assert (final > NEVER).any(-1).all()


@pytest.mark.parametrize("name", [name for name in STAGE_NAMES if find(name).keeps_argmax])
@few
@given(seeds)
def test_the_most_likely_id_stays_so(name: str, seed: int) -> None:
    logits = spaced_logits(4, 24, seed)
    for stage in cases(name):
        final = run(logits, stage, rows=known_rows(4, 24, seed))
        assert torch.equal(final.argmax(-1), logits.argmax(-1))


@every_stage
@few
@given(st.integers(2, 20), seeds)
def test_a_batch_is_its_rows_one_by_one(name: str, rows: int, seed: int) -> None:
    logits, known = spaced_logits(rows, 400, seed), known_rows(rows, 400, seed)
    for stage in cases(name):
        together = run(logits, stage, rows=known)
        for row in {0, rows // 2, rows - 1}:
            alone = run(logits[row : row + 1], stage, rows=one_of(known, row))
            assert torch.allclose(together[row], alone[0], rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("name", [name for name in STAGE_NAMES if name not in OF_SINGLE_IDS])
@few
@given(seeds)
def test_a_permutation_of_ids_permutes_the_result(name: str, seed: int) -> None:
    logits, known = spaced_logits(2, 12, seed), known_rows(2, 12, seed)
    order = torch.randperm(12, generator=torch.Generator().manual_seed(seed))
    place = order.argsort()
    assert known.past is not None and known.stop is not None
    moved = replace(known, past=place[known.past], stop=int(place[known.stop]))
    for stage in cases(name):
        ids = {key: [int(place[item]) for item in stage[key]] for key in ("ids", "breakers") if key in stage}
        expected = run(logits, stage, rows=known)[:, order]
        found = run(logits[:, order], stage | ids, rows=moved)
        assert torch.allclose(found, expected, rtol=1e-5, atol=1e-5)


@every_stage
@few
@given(seeds)
def test_rows_with_banned_ids_are_legal(name: str, seed: int) -> None:
    logits = random_logits(3, 12, seed)
    logits[:, 4:8] = NEVER
    logits[2, 4:] = NEVER
    for stage in cases(name):
        final = run(logits, stage, rows=known_rows(3, 12, seed))
        assert not final.isnan().any() and (final < torch.inf).all()
        assert (final[logits == NEVER] == NEVER).all()


@pytest.mark.parametrize("name", TRUNCATIONS)
@few
@given(seeds)
def test_a_truncation_changes_no_logit_that_stays_and_sees_no_constant(name: str, seed: int) -> None:
    logits, known = spaced_logits(3, 60, seed), known_rows(3, 60, seed)
    for stage in cases(name):
        final = run(logits, stage, rows=known)
        left = final > NEVER
        assert torch.equal(final[left], logits[left])
        shifted = run(logits + torch.tensor([[-7.0], [0.0], [11.0]]), stage, rows=known)
        assert torch.equal(shifted > NEVER, left)


@every_stage
def test_neutral_parameters_change_nothing_even_when_run(name: str) -> None:
    declaration = find(name)
    neutral = {item.name: item.neutral for item in declaration.parameters if item.neutral is not None}
    if not neutral:
        assert name == "p_less"
        return
    logits, known = random_logits(3, 12), known_rows(3, 12, 0)
    logits[0, :5] = NEVER
    assert torch.equal(apply(name, logits, known, **neutral), logits)
    stack = Stack.from_dict({"ar": [{"name": name, **neutral}, {"name": "draw"}]})
    assert stack.effective("ar")[0].neutral
    for key, value in neutral.items() if declaration.neutral_when == "any" else ():
        one = Stack.from_dict({"ar": [cases(name)[0] | {key: value}, {"name": "draw"}]}).effective("ar")[0]
        assert one.neutral and torch.equal(apply(name, logits, known, **one.parameters), logits)


@every_stage
def test_the_last_id_that_is_left_stays(name: str) -> None:
    if name in MAY_BAN_ALL:
        return
    logits = torch.full((12, 12), NEVER).fill_diagonal_(1.5)
    for stage in cases(name):
        final = run(logits, stage, rows=known_rows(12, 12, 0))
        assert torch.equal(final > NEVER, logits > NEVER)


@every_stage
@pytest.mark.parametrize("scale", [1e-6, 1e3])
def test_no_finite_row_gives_what_is_not_a_number(name: str, scale: float) -> None:
    logits = torch.cat((random_logits(2, 40), torch.zeros(1, 40), random_logits(1, 40).sign())) * scale
    for stage in cases(name):
        final = run(logits, stage, rows=known_rows(4, 40, 0))
        assert not final.isnan().any() and (final.amax(-1) > NEVER).all() and (final < torch.inf).all()


@every_stage
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_rows(name: str, dtype: torch.dtype) -> None:
    logits, known = (spaced_logits(3, 24, 0) * 2).to(dtype), known_rows(3, 24, 0)
    before = logits.clone()
    for stage in cases(name):
        parameters = Stack.from_dict({"ar": [stage, {"name": "draw"}]}).effective("ar")[0].parameters
        final = apply(name, logits, known, **parameters)
        assert final.dtype == dtype and torch.equal(logits, before)
        expected = run(logits.float(), stage, rows=known)
        assert torch.equal(final > NEVER, expected > NEVER)
        assert torch.allclose(final.float(), expected, rtol=2e-2, atol=2e-2)


@every_stage
def test_the_same_call_gives_the_same_bits(name: str) -> None:
    logits, known = random_logits(4, 30, 5), known_rows(4, 30, 5)
    for stage in cases(name):
        assert torch.equal(run(logits, stage, rows=known), run(logits, stage, rows=known))


def values_of(parameter: Parameter) -> list[float]:
    """Four values of a parameter, its ends among them."""
    assert parameter.minimum is not None and parameter.maximum is not None
    middle = min(4.0, (parameter.minimum + parameter.maximum) / 2)
    chosen = [parameter.minimum, parameter.default, parameter.maximum, middle]
    return [float(round(value) if parameter.type == "integer" else value) for value in chosen]


@pytest.mark.parametrize(
    ("name", "parameter"),
    [
        pytest.param(name, item, id=f"{name}.{item.name}")
        for name in STAGE_NAMES
        for item in find(name).parameters
        if item.curved
    ],
)
def test_a_parameter_may_differ_from_row_to_row(name: str, parameter: Parameter) -> None:
    values = values_of(parameter) * 2
    logits, known = spaced_logits(len(values), 40, 3), known_rows(len(values), 40, 3)
    each = torch.tensor(values)[:, None]
    for others in EXAMPLES[name]:
        together = apply(name, logits, known, **others | {parameter.name: each})
        for row, value in enumerate(values):
            number = int(value) if parameter.type == "integer" else value
            alone = apply(name, logits, known, **others | {parameter.name: number})
            left = alone[row] > NEVER
            assert torch.equal(together[row] > NEVER, left)
            # A row that is shifted is the same distribution: a stage that is off need not normalise it.
            shift = (together[row] - alone[row])[left][0]
            assert torch.allclose((together[row] - shift)[left], alone[row][left], rtol=1e-4, atol=1e-4)
