"""Curves as dots: every value is within what is drawn, and the drawing fits its cells."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from valle_lab.tui.braille import column_of, curve, curves, envelope

VALUES = hnp.arrays(np.float64, st.integers(0, 300), elements=st.floats(-5, 15))


def dots(lines: list[str]) -> np.ndarray:
    """The drawn dots, [rows, columns], read off the characters by the order in the Unicode standard."""
    order = {0: (0, 0), 1: (1, 0), 2: (2, 0), 3: (0, 1), 4: (1, 1), 5: (2, 1), 6: (3, 0), 7: (3, 1)}
    grid = np.zeros((4 * len(lines), 2 * len(lines[0])), bool)
    for y, line in enumerate(lines):
        for x, character in enumerate(line):
            for bit, (row, column) in order.items():
                grid[4 * y + row, 2 * x + column] = ord(character) - 0x2800 >> bit & 1
    return grid


def test_a_ramp_by_hand() -> None:
    assert curve(np.array([0.0, 1.0, 2.0, 3.0]), 2, 1, 0.0, 3.0) == ["⡠⠊"]
    assert curve(np.array([3.0, 0.0]), 1, 1, 0.0, 3.0) == [chr(0x2801 + 0x10 + 0x20 + 0x80)]
    assert curve(np.zeros(0), 3, 2, 0.0, 1.0) == ["⠀⠀⠀", "⠀⠀⠀"]


@given(VALUES, st.integers(1, 40), st.integers(1, 6))
def test_every_value_is_within_its_column(values: np.ndarray, width: int, height: int) -> None:
    lines = curve(values, width, height, 0.0, 10.0)
    assert len(lines) == height and all(len(line) == width for line in lines)
    grid = dots(lines)
    rows = 4 * height
    for index, value in enumerate(values):
        row = rows - 1 - round(min(max(value, 0.0), 10.0) / 10 * (rows - 1))
        cell = column_of(index, len(values), width)
        drawn = grid[:, 2 * cell : 2 * cell + 2].any(axis=1)
        assert drawn[max(row - 1, 0) : row + 2].any()


@given(VALUES.filter(len), st.integers(1, 100))
def test_the_envelope_keeps_the_extremes(values: np.ndarray, columns: int) -> None:
    low, high = envelope(values, columns)
    assert len(low) == len(high) == min(columns, len(values))
    assert low.min() == values.min() and high.max() == values.max() and (low <= high).all()


@given(VALUES.filter(lambda values: len(values) > 1))
def test_a_curve_has_no_gaps(values: np.ndarray) -> None:
    grid = dots(curve(values, 200, 5, 0.0, 10.0))[:, : len(values)]
    for left, right in zip(grid.T[:-1], grid.T[1:], strict=True):
        first, second = np.flatnonzero(left), np.flatnonzero(right)
        assert first.min() <= second.max() + 1 and second.min() <= first.max() + 1


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_what_is_no_number_is_drawn_at_the_edge(value: float) -> None:
    assert dots(curve(np.array([value]), 1, 1, 0.0, 1.0)).sum() == 1


@given(
    hnp.arrays(np.float64, st.tuples(st.integers(1, 4), st.integers(0, 90)), elements=st.floats(-0.5, 1.5)),
    st.data(),
)
def test_several_curves_at_once_are_each_as_alone(shares: np.ndarray, data: st.DataObject) -> None:
    heights = data.draw(st.lists(st.integers(1, 4), min_size=len(shares), max_size=len(shares)))
    alone = [curve(own, 20, height, 0.0, 1.0) for own, height in zip(shares, heights, strict=True)]
    assert curves(shares, 20, heights) == alone
