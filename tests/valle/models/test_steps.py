"""Decoding step by step with a cache equals one full pass, for rows of any length; forks and rewinds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from tests.valle.models.conftest import TINY, RowMaker
from valle.models.ar_nar import ArNar
from valle.models.arch.cache import Cache
from valle.models.base import Inputs

STEPS = 6
TOKENS = torch.tensor([[3, 0, 41, 7, 7, 12], [9, 44, 2, 1, 30, 5], [11, 12, 13, 14, 15, 16]])


def forced(model: ArNar, rows: Sequence[Inputs], tokens: Tensor) -> tuple[Cache, Tensor]:
    """Feed tokens [R, T]; return the cache and all logits [R, T + 1, V]."""
    cache, logits = model.begin(rows, tokens.shape[1])
    made = [logits]
    for step in range(tokens.shape[1]):
        made.append(model.advance(cache, tokens[:, step]))
    return cache, torch.stack(made, 1)


def speech_rows(make_row: RowMaker) -> list[Inputs]:
    """Rows of different length, of which one goes on from frames that are there."""
    return [
        make_row(5, 6, response=None),
        make_row(9, 0, response=None, language=None),
        make_row(3, 12, response=None),
    ]


def close(one: Tensor, other: Tensor) -> bool:
    return torch.allclose(one, other, rtol=0.0, atol=1e-4)


def test_steps_equal_the_full_pass(model: ArNar, make_row: RowMaker) -> None:
    rows = speech_rows(make_row)
    for row, tokens in zip(rows, TOKENS, strict=True):
        _, stepwise = forced(model, [row], tokens[None])
        assert close(stepwise[0], model.full([replace(row, response=tokens[:, None])])[0])


def test_rows_of_a_batch_equal_single_rows(model: ArNar, make_row: RowMaker) -> None:
    rows = speech_rows(make_row)
    _, together = forced(model, rows, TOKENS)
    for row, tokens, batched in zip(rows, TOKENS, together, strict=True):
        _, alone = forced(model, [row], tokens[None])
        assert close(batched, alone[0])


def test_going_on_from_frames_that_are_there(model: ArNar, make_row: RowMaker) -> None:
    row = speech_rows(make_row)[0]
    _, whole = forced(model, [row], TOKENS[:1])
    _, rest = forced(model, [replace(row, response=TOKENS[0, :2, None])], TOKENS[:1, 2:])
    assert close(whole[:, 2:], rest)


@pytest.mark.parametrize("unified", [True, False])
@pytest.mark.parametrize("counted", [True, False])
def test_position_schemes(unified: bool, counted: bool, make_row: RowMaker) -> None:
    torch.manual_seed(1)
    config = replace(TINY, unified_position_ids=unified, task_tokens_counted=counted)
    model = ArNar(config)
    row = make_row(4, 5, response=None)
    assert isinstance(row.prompt, Tensor)
    row = replace(row, task="ns", prompt=["ns", row.prompt])
    _, stepwise = forced(model, [row], TOKENS[:1])
    full = model.full([replace(row, response=TOKENS[0, :, None])])[0]
    # Where the task token is overlooked, the last row of a finished sequence stands at a position of its own.
    compared = STEPS + 1 if counted or unified else STEPS
    assert close(stepwise[0, :compared], full[:compared])


@pytest.mark.parametrize(("task", "table"), [("stt", "phonemes"), ("phn", "phonemes"), ("len", "digits")])
def test_other_phases_step_too(task: str, table: str, model: ArNar, make_row: RowMaker) -> None:
    row = make_row(4, 0, 6, task=task, digits=None)
    tokens = torch.tensor([1, 4, 9, 2])
    start = replace(row, **{table: tokens[:1]})
    _, stepwise = forced(model, [start], tokens[None, 1:])
    assert close(stepwise[0], model.full([replace(row, **{table: tokens})])[0][1:])


@given(indices=st.lists(st.integers(0, 2), min_size=1, max_size=5), step=st.integers(0, STEPS))
def test_picked_rows_and_forks_go_on_alike(indices: list[int], step: int, model: ArNar) -> None:
    rows = [Inputs(phonemes=torch.arange(length), language=0) for length in (3, 5, 8)]
    cache, logits = forced(model, rows, TOKENS)
    before = cache.state.keys.clone()
    branch = cache.fork(step).rows(indices)
    assert branch.step == step
    for later in range(step, STEPS):
        answer = model.advance(branch, TOKENS[indices, later])
        assert close(answer, logits[indices, later + 1])
    assert torch.equal(cache.state.keys, before)


@given(picks=st.lists(st.lists(st.integers(0, 2), min_size=3, max_size=3), min_size=STEPS, max_size=STEPS))
def test_rows_that_change_places_go_on_with_their_own_past(picks: list[list[int]], model: ArNar) -> None:
    """Against a new pass over each row's past, after every change of places."""
    rows = [Inputs(phonemes=torch.arange(length), language=0) for length in (3, 5, 8)]
    cache, answer = model.begin(rows, STEPS)
    pasts: list[list[int]] = [[], [], []]
    for step, picked in enumerate(picks):
        cache.select(picked)
        rows = [rows[index] for index in picked]
        pasts = [[*pasts[index], int(TOKENS[place, step])] for place, index in enumerate(picked)]
        answer = model.advance(cache, TOKENS[:, step])
    for row, past, found in zip(rows, pasts, answer, strict=True):
        (full,) = model.full([replace(row, response=torch.tensor(past)[:, None])])
        assert close(found, full[-1])
    assert len(cache) == 3
    cache.select([2])
    assert len(cache) == 1


def test_a_fork_is_bit_equal_and_independent(model: ArNar, make_row: RowMaker) -> None:
    cache, logits = forced(model, speech_rows(make_row), TOKENS)
    fork = cache.fork(2)
    other = model.advance(fork, TOKENS[:, 5])
    cache.restore(2)
    assert torch.equal(model.advance(cache, TOKENS[:, 2]), logits[:, 3])
    assert not close(other, logits[:, 3])
    assert fork.memory == cache.memory


def test_restore_goes_back_in_place(model: ArNar, make_row: RowMaker) -> None:
    cache, logits = forced(model, speech_rows(make_row), TOKENS)
    storage = cache.state.keys.data_ptr()
    cache.restore(0)
    for step in range(STEPS):
        assert torch.equal(model.advance(cache, TOKENS[:, step]), logits[:, step + 1])
    assert cache.state.keys.data_ptr() == storage


def test_memory_is_what_was_asked_for(model: ArNar, make_row: RowMaker) -> None:
    row = make_row(5, 6, response=None)
    cache, _ = model.begin([row], 10)
    positions = model.layouts([row])[0].length + 10
    assert cache.memory == 2 * TINY.layers * positions * TINY.dim * 4
    assert len(cache) == 1


def test_a_full_cache_says_so(model: ArNar, make_row: RowMaker) -> None:
    cache, _ = forced(model, [make_row(response=None)], TOKENS[:1])
    with pytest.raises(ValueError, match="made for 6 steps"):
        model.advance(cache, torch.tensor([0]))


def test_steps_that_were_not_made(model: ArNar, make_row: RowMaker) -> None:
    cache, _ = model.begin([make_row(response=None)], 3)
    for step in (-1, 1):
        with pytest.raises(ValueError, match="not one of"):
            cache.fork(step)
        with pytest.raises(ValueError, match="not one of"):
            cache.restore(step)


def test_rows_that_cannot_be_stepped(model: ArNar, make_row: RowMaker) -> None:
    for row in (make_row(level=2), make_row(masked=True), make_row(task="un-phn")):
        with pytest.raises(ValueError, match="not decoded step by step"):
            model.begin([row], 3)
    with pytest.raises(ValueError, match="one head"):
        model.begin([make_row(), make_row(task="stt")], 3)
