"""Attention that reads the text forward: against a formula worked out symbol by symbol, and step by step."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from tests.valle.models.conftest import TINY, RowMaker, random_model
from valle.errors import UserError
from valle.models.ar_nar import ArNar
from valle.models.arch import build
from valle.models.arch.reading import LEAST, SKIP, Reading, Text
from valle.models.base import Inputs
from valle.models.staggered import Staggered

FORWARD = replace(TINY, layers=4, forward_attention=(0, 2))
TOKENS = torch.tensor(
    [[3, 0, 41, 7, 7, 12, 30, 8], [9, 44, 2, 1, 30, 5, 6, 7], [11, 12, 13, 14, 15, 16, 17, 18]]
)


@pytest.fixture(scope="module")
def forward() -> ArNar:
    return random_model(FORWARD)


def close(one: torch.Tensor, other: torch.Tensor) -> bool:
    return torch.allclose(one, other, rtol=0.0, atol=1e-4)


def by_hand(
    query: NDArray[np.float64], key: NDArray[np.float64], value: NDArray[np.float64], text: Text
) -> NDArray[np.float64]:
    """One causal head of one row, symbol by symbol."""
    length, size = query.shape
    count = text.end - text.start
    at = [1.0] + [0.0] * (count - 1)
    gathered = np.zeros_like(value)
    for now in range(length):
        weights = np.exp([query[now] @ key[then] / size**0.5 for then in range(now + 1)])
        weights /= weights.sum()
        if now >= text.first:
            share = weights[text.start : text.end].sum()
            reached = [
                (at[n] + (at[n - 1] if n > 0 else 0.0) + (SKIP * at[n - 2] if n > 1 else 0.0))
                * (weights[text.start + n] / share + LEAST)
                for n in range(count)
            ]
            at = [each / sum(reached) for each in reached]
            weights[text.start : text.end] = [each * share for each in at]
        gathered[now] = sum(weights[then] * value[then] for then in range(now + 1))
    return gathered


def test_a_head_gathers_what_the_formula_says() -> None:
    random = np.random.default_rng(4)
    query, key, value = random.normal(0, 1.5, (3, 14, 6))
    text = Text(1, 6, 8)
    reading = Reading.of([text], (3,), torch.device("cpu"))
    asked, offered, held = (torch.from_numpy(each).unsqueeze(0) for each in (query, key, value))
    found = reading.gather(3, asked, offered, held, torch.ones(14, 14, dtype=torch.bool).tril())[0].numpy()
    assert np.allclose(found, by_hand(query, key, value, text), atol=1e-6)


def test_a_query_that_looks_at_the_end_is_held_near_the_beginning() -> None:
    key = torch.eye(8).unsqueeze(0) * 40
    query = key[:, [7] * 8]
    reading = Reading.of([Text(0, 8, 0)], (0,), torch.device("cpu"))
    places = reading.gather(0, query, key, torch.eye(8).unsqueeze(0), None)[0]
    for frame in range(8):
        furthest = int(places[frame].nonzero().max())
        assert furthest == min(2 * (frame + 1), 7)


def test_steps_equal_the_full_pass(forward: ArNar, make_row: RowMaker) -> None:
    rows = [make_row(9, 6, response=None), make_row(5, 0, response=None), make_row(7, 12, response=None)]
    cache, logits = forward.begin(rows, TOKENS.shape[1])
    stepwise = [logits]
    for step in range(TOKENS.shape[1]):
        stepwise.append(forward.advance(cache, TOKENS[:, step]))
    together = forward.full(
        [replace(row, response=ids[:, None]) for row, ids in zip(rows, TOKENS, strict=True)]
    )
    for number, (row, ids) in enumerate(zip(rows, TOKENS, strict=True)):
        (alone,) = forward.full([replace(row, response=ids[:, None])])
        assert close(torch.stack(stepwise, 1)[number], alone)
        assert close(together[number], alone)


def test_only_level_0_of_the_ar_changes(forward: ArNar, mixed_rows: list[Inputs]) -> None:
    plain = random_model(replace(FORWARD, forward_attention=()))
    plain.load_state_dict(forward.state_dict())
    assert [name for name, _ in forward.named_parameters()] == [name for name, _ in plain.named_parameters()]
    heads = [layout.head for layout in forward.layouts(mixed_rows)]
    for head, one, other in zip(heads, forward.full(mixed_rows), plain.full(mixed_rows), strict=True):
        assert close(one, other) == (head != "ar"), head


def test_what_is_forked_taken_back_and_put_side_by_side_goes_on_as_if_alone(
    forward: ArNar, make_row: RowMaker
) -> None:
    rows = [make_row(9, 6, response=None), make_row(5, 3, response=None)]
    alone = [
        forward.full([replace(row, response=ids[:, None])])[0] for row, ids in zip(rows, TOKENS, strict=False)
    ]
    cache, _ = forward.begin(rows[:1], 8)
    for step in range(6):
        forward.advance(cache, TOKENS[:1, step])
    fork = cache.fork(3)
    forward.advance(fork, TOKENS[:1, 3])
    logits = forward.advance(fork, TOKENS[:1, 4])
    assert close(logits[0], alone[0][5])
    cache.restore(2)
    for step in (2, 3):
        forward.advance(cache, TOKENS[:1, step])
    logits = forward.advance(cache, TOKENS[:1, 4])
    assert close(logits[0], alone[0][5])

    other, _ = forward.begin(rows[1:], 8)
    for step in range(5):
        forward.advance(other, TOKENS[1:2, step])
    both = cache.beside(other)
    logits = forward.advance(both, TOKENS[:2, 5])
    assert close(logits[0], alone[0][6])
    assert close(logits[1], alone[1][6])
    both.select([1, 0, 1])
    logits = forward.advance(both, TOKENS[[1, 0, 1], 6])
    assert close(logits[0], alone[1][7])
    assert close(logits[1], alone[0][7])
    assert close(logits[2], alone[1][7])
    logits = forward.advance(both.rows([1]), TOKENS[:1, 7])
    assert close(logits[0], alone[0][8])


def test_going_on_from_frames_that_are_there(forward: ArNar, make_row: RowMaker) -> None:
    row = make_row(9, 6, response=None)
    (whole,) = forward.full([replace(row, response=TOKENS[0][:, None])])
    cache, logits = forward.begin([replace(row, response=TOKENS[0, :5][:, None])], 4)
    assert close(logits[0], whole[5])
    assert close(forward.advance(cache, TOKENS[:1, 5])[0], whole[6])


def test_positions_that_leave_early_catch_up(forward: ArNar, make_row: RowMaker) -> None:
    row = make_row(9, 6, response=None)
    (whole,) = forward.full([replace(row, response=TOKENS[0][:, None])])
    staggered = Staggered(forward, row, 8)
    for token, depth in zip(TOKENS[0], (1, 2, 4, 3, 1, 4, 2, 4), strict=True):
        staggered.append(token[None])
        staggered.deepen(depth)
    assert close(staggered.answer()[0], whole[8])


def test_gradients_go_through_what_is_looked_at(make_row: RowMaker) -> None:
    model = random_model(FORWARD)
    loss = model.loss([make_row(9, 6, 7), make_row(5, 0, 4)]).mean
    loss.backward()
    weight = model.get_parameter("model.layers.0.self_attn.q_proj.weight")
    direction = torch.zeros_like(weight)
    direction[:12] = torch.randn(12, 24, generator=torch.Generator().manual_seed(1))
    assert weight.grad is not None
    assert float((weight.grad * direction).sum().abs()) > 1e-6


def test_layers_that_cannot_read_forward_are_refused() -> None:
    with pytest.raises(UserError, match=r"forward_attention names layer 3, it must be one from 0 to 2"):
        replace(FORWARD, forward_attention=(3,))
    with pytest.raises(UserError, match=r"mamba has no attention to go forward"):
        build(replace(FORWARD, architecture="mamba"))
