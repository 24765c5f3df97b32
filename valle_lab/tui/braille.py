"""Curves as braille dots: two columns and four rows of dots in each cell of the terminal. No Textual."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice

import numpy as np
from numpy.typing import NDArray

DOTS = np.array([[0x01, 0x08], [0x02, 0x10], [0x04, 0x20], [0x40, 0x80]], np.uint32)
"""Bit of each dot of a cell, [row, column], as Unicode orders them."""
BLANK = 0x2800

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


def envelope(values: Floats, columns: int) -> tuple[Floats, Floats]:
    """The lowest and highest value of each column, [..., columns] each at most.

    Where there are no more values than columns each value is a column of its own; else every column spans the
    lowest and the highest of an equal share of the values.
    """
    count = values.shape[-1]
    if count <= columns:
        return values, values
    starts = np.arange(columns) * count // columns
    return np.minimum.reduceat(values, starts, axis=-1), np.maximum.reduceat(values, starts, axis=-1)


def curve(values: Floats, width: int, height: int, low: float, high: float) -> list[str]:
    """The lines of a curve in `width` x `height` cells, top first, on a fixed axis from `low` to `high`.

    Values outside the axis are drawn at its edge; neighbours are joined, so that a steep curve has no gaps.
    """
    return curves((values - low)[None] / (high - low), width, [height])[0]


def curves(shares: Floats, width: int, heights: Sequence[int]) -> list[list[str]]:
    """The lines of several curves of one length, `shares` [curves, values] of their axes, each so high.

    All in one go: called ten times a second, what numpy is asked costs more than what it computes.
    """
    rows = 4 * np.asarray(heights)
    cells = np.full((rows.sum() // 4, width), BLANK, np.uint32)
    if shares.shape[-1]:
        within = np.clip(np.where(np.isnan(shares), 0.0, shares), 0.0, 1.0)
        lowest, highest = envelope(within, 2 * width)
        top_rows, bottom_rows = _joined(_row(highest, rows), _row(lowest, rows))
        of = np.repeat(np.arange(len(rows)), rows)
        own = (np.arange(rows.sum()) - (rows.cumsum() - rows)[of])[:, None]
        padded = np.zeros((rows.sum(), 2 * width), np.uint32)
        padded[:, : top_rows.shape[-1]] = (own >= top_rows[of]) & (own <= bottom_rows[of])
        cells += np.einsum("hrwc,rc->hw", padded.reshape(-1, 4, width, 2), DOTS)
    # Code points of 32 bits are how numpy keeps text.
    lines = iter(cells.view(f"U{width}")[:, 0].tolist())
    return [list(islice(lines, height)) for height in heights]


def column_of(index: int, count: int, width: int) -> int:
    """The cell in which `curve` draws the value of that index."""
    columns = 2 * width
    dot = index if count <= columns else ((index + 1) * columns - 1) // count
    return min(dot // 2, width - 1)


def index_at(cell: int, count: int, width: int) -> int:
    """The first value that `curve` draws in this cell, the last one in cells beyond it."""
    columns = 2 * width
    dot = 2 * cell
    index = dot if count <= columns else -(-dot * count // columns)
    return max(0, min(index, count - 1))


def _row(shares: Floats, rows: Ints) -> Ints:
    """The row of dots of each share [curves, columns], 0 at the top of its curve."""
    last = rows[:, None] - 1
    return (last - np.round(shares * last)).astype(np.int64)


def _joined(top: Ints, bottom: Ints) -> tuple[Ints, Ints]:
    """Columns stretched towards the one before, so that they touch."""
    joined_top, joined_bottom = top.copy(), bottom.copy()
    before_top, before_bottom, top, bottom = top[:, :-1], bottom[:, :-1], top[:, 1:], bottom[:, 1:]
    joined_top[:, 1:] = np.minimum(top, np.minimum(before_bottom + 1, bottom))
    joined_bottom[:, 1:] = np.maximum(bottom, np.maximum(before_top - 1, top))
    return joined_top, joined_bottom
