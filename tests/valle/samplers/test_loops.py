"""The stages against loops, against values worked by hand and a search written out in Python."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from tests.valle.samplers.examples import NEVER, run
from valle.samplers.rows import Rows


def lowered(past: list[int], width: int = 12, **stage: Any) -> dict[int, float]:
    """By how much a stage lowers the zero logits of which ids."""
    rows = Rows.of("ar", past=torch.tensor([past])) if past else Rows.of("ar")
    final = run(torch.zeros(1, width), stage, rows=rows)[0].tolist()
    return {token: pytest.approx(-value, rel=1e-5) for token, value in enumerate(final) if value != 0}


COUNTING = [1, 2, 3, 9, 1, 2, 3, 9, 1, 2, 3]


def test_dry_golden_values() -> None:
    # 1 2 3 9 1 2 3 came before 9: 7 ids, 0.8 x 1.75^5.
    assert lowered(COUNTING, name="dry") == {9: 13.13047}
    assert lowered(COUNTING, name="dry", breakers=[9]) == {}
    assert lowered([5, 5, 5, 5], name="dry") == {5: 1.4}


def test_dry_begins_at_the_allowed_length() -> None:
    assert lowered([1, 2, 7, 1, 2], name="dry") == {7: 0.8}
    assert lowered([1, 2, 7, 1, 2], name="dry", allowed_length=1) == {7: 0.8 * 1.75}
    assert lowered([1, 2, 7, 1, 2], name="dry", allowed_length=3) == {}
    assert lowered([1, 7, 1], name="dry") == {}
    assert lowered([1, 7, 1], name="dry", allowed_length=1) == {7: 0.8}


def test_dry_takes_the_longest_match_of_each_id() -> None:
    doubling = {"name": "dry", "allowed_length": 1, "multiplier": 1.0, "base": 2.0}
    # 8 came after 2 and after 1 2, 7 after 1 2.
    assert lowered([2, 8, 1, 2, 8, 1, 2, 7, 6, 1, 2], **doubling) == {8: 2.0, 7: 2.0}
    # 8 came after 2, 2 8 1 2 and 1 2; 7 after 1 2 8 1 2.
    assert lowered([2, 8, 1, 2, 8, 1, 2, 7, 6, 1, 2, 8, 1, 2], **doubling) == {8: 8.0, 7: 16.0}


def test_dry_searches_its_range_only() -> None:
    past = [1, 2, 9, 4, 5, 1, 2]
    assert lowered(past, name="dry") == {9: 0.8}
    assert lowered(past, name="dry", range=7) == {9: 0.8}
    # Without the first id, only 2 is left of the match.
    assert lowered(past, name="dry", range=6) == {}
    assert lowered(past, name="dry", range=6, allowed_length=1) == {9: 0.8}


def test_a_dry_match_ends_at_a_breaker() -> None:
    past = [1, 0, 2, 9, 1, 0, 2]
    assert lowered(past, name="dry", multiplier=1.0, base=2.0, allowed_length=1) == {9: 4.0}
    assert lowered(past, name="dry", multiplier=1.0, base=2.0, allowed_length=1, breakers=[0]) == {9: 1.0}
    assert lowered([0, 9, 0], name="dry", allowed_length=1, breakers=[0]) == {}


def test_a_dry_penalty_stays_finite() -> None:
    long = [3] * 400
    [(token, penalty)] = lowered(long, name="dry", base=10.0, multiplier=100.0).items()
    assert token == 3 and penalty.expected < float("inf")
    assert lowered(long, name="dry", base=1.0) == {3: 0.8}
    assert lowered(long, name="dry", base=1.1) == {3: 0.8 * 1.1**48}


def matches(past: list[int], allowed: int, span: int, breakers: list[int]) -> dict[int, int]:
    """The longest match before each id, at most 50, by looking at every place."""
    past = past[-span:] if span else past
    found: dict[int, int] = {}
    for place in range(len(past) - 1):
        length = 0
        while length <= min(place, 49) and past[place - length] == past[-1 - length] not in breakers:
            length += 1
        follower = past[place + 1]
        if length >= allowed and follower not in breakers:
            found[follower] = max(found.get(follower, 0), length)
    return found


@given(
    st.lists(st.integers(0, 3), min_size=1, max_size=80),
    st.integers(1, 4),
    st.integers(0, 30),
    st.lists(st.integers(0, 3), max_size=1),
)
def test_dry_finds_what_a_plain_search_finds(
    past: list[int], allowed: int, span: int, breakers: list[int]
) -> None:
    stage = {"name": "dry", "multiplier": 1.0, "base": 1.1, "allowed_length": allowed, "range": span}
    expected = {
        token: 1.1 ** (length - allowed) for token, length in matches(past, allowed, span, breakers).items()
    }
    assert lowered(past, **stage, breakers=breakers) == expected


def test_no_ngram_comes_twice() -> None:
    forbidden = float("inf")
    assert lowered([1, 2, 3, 1, 2], name="no_repeat_ngram", size=3) == {3: forbidden}
    assert lowered([1, 2, 3, 1, 2], name="no_repeat_ngram", size=2) == {3: forbidden}
    assert lowered([1, 2, 3, 1, 2], name="no_repeat_ngram", size=4) == {}
    assert lowered([1, 2, 3, 1], name="no_repeat_ngram", size=1) == dict.fromkeys((1, 2, 3), forbidden)
    assert lowered([4, 4], name="no_repeat_ngram", size=2) == {4: forbidden}
    assert lowered([1, 2, 3, 1, 2], name="no_repeat_ngram", size=3, window=4) == {}
    assert lowered([2, 5, 2, 6, 2], name="no_repeat_ngram", size=2) == dict.fromkeys((5, 6), forbidden)


def test_ngrams_of_rows_of_different_lengths() -> None:
    past = torch.tensor([[1, 2, 1, 0, 0], [1, 2, 3, 1, 2], [1, 1, 1, 1, 1]])
    rows = Rows.of("ar", 3, past=past, past_length=torch.tensor([3, 5, 1]))
    for stage in ({"name": "no_repeat_ngram", "size": 2}, {"name": "dry", "allowed_length": 1}):
        touched = run(torch.zeros(3, 4), stage, rows=rows) != 0
        assert touched.tolist() == [
            [False, False, True, False],
            [False, False, False, True],
            [False, False, False, False],
        ]


def test_silence_is_penalised_the_longer_it_lasts() -> None:
    stage = {"name": "silence_penalty", "ids": [0, 1], "allowed": 2}
    logits = torch.tensor([[6.0, 6.0, 6.0]])

    def silenced(past: list[int], **others: Any) -> list[float]:
        return run(logits, {**stage, **others}, rows=Rows.of("ar", past=torch.tensor([past])))[0].tolist()

    assert silenced([2, 0, 0]) == [6.0, 6.0, 6.0]
    assert silenced([2, 0, 0, 0]) == [3.0, 6.0, 6.0]
    assert silenced([0, 0, 0, 0]) == [2.0, 6.0, 6.0]
    assert silenced([0, 0, 0, 0], penalty=0.5) == [3.0, 6.0, 6.0]
    assert silenced([1, 0, 1, 0]) == [6.0, 6.0, 6.0]
    assert silenced([1, 0, 1, 0], run="any") == [2.0, 2.0, 6.0]
    assert silenced([0, 0, 0, 2]) == [6.0, 6.0, 6.0]
    assert silenced([2, 2, 2, 2]) == [6.0, 6.0, 6.0]


def test_silence_that_is_unlikely_becomes_less_likely() -> None:
    rows = Rows.of("ar", past=torch.tensor([[0, 0, 0]]))
    stage = {"name": "silence_penalty", "ids": [0, 5000], "allowed": 2}
    assert run(torch.tensor([[-6.0, 1.0]]), stage, rows=rows).tolist() == [[-12.0, 1.0]]
    banned = run(torch.tensor([[NEVER, 1.0]]), stage, rows=rows)
    assert banned.tolist() == [[NEVER, 1.0]]


def test_silence_as_voicecraft_counts_it() -> None:
    # Its count is of repeats: after c + 1 equal codes it divides by c - 2 where c exceeds 3.
    for length in range(1, 9):
        rows = Rows.of("ar", past=torch.full((1, length), 1))
        final = run(torch.tensor([[0.0, 12.0]]), {"name": "silence_penalty", "ids": [1]}, rows=rows)
        repeats = length - 1
        assert final[0, 1].item() == pytest.approx(12.0 / (repeats - 2) if repeats > 3 else 12.0)
