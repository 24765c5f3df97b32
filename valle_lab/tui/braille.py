"""Curves as braille dots: two columns and four rows of dots in each cell of the terminal. No Textual."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

DOTS = np.array([[0x01, 0x08], [0x02, 0x10], [0x04, 0x20], [0x40, 0x80]], np.uint32)
"""Bit of each dot of a cell, [row, column], as Unicode orders them."""
BLANK = 0x2800

Floats = NDArray[np.float64]


def envelope(values: Floats, columns: int) -> tuple[Floats, Floats]:
    """The lowest and highest value of each column, [columns] each at most.

    Where there are no more values than columns each value is a column of its own; else every column spans the
    lowest and the highest of an equal share of the values.
    """
    count = len(values)
    if count <= columns:
        return values, values
    starts = np.arange(columns) * count // columns
    return np.minimum.reduceat(values, starts), np.maximum.reduceat(values, starts)


def curve(values: Floats, width: int, height: int, low: float, high: float) -> list[str]:
    """The lines of a curve in `width` x `height` cells, top first, on a fixed axis from `low` to `high`.

    Values outside the axis are drawn at its edge; neighbours are joined, so that a steep curve has no gaps.
    """
    cells = np.full((height, width), BLANK, np.uint32)
    if len(values):
        lowest, highest = envelope(np.where(np.isnan(values), low, values), 2 * width)
        rows = 4 * height
        top_rows, bottom_rows = _joined(_row(highest, rows, low, high), _row(lowest, rows, low, high))
        grid = np.arange(rows)[:, None]
        dots = (grid >= top_rows) & (grid <= bottom_rows)
        padded = np.zeros((rows, 2 * width), np.uint32)
        padded[:, : dots.shape[1]] = dots
        cells += np.einsum("hrwc,rc->hw", padded.reshape(height, 4, width, 2), DOTS)
    # Code points of 32 bits are how numpy keeps text.
    return [str(line) for line in cells.view(f"U{width}")[:, 0]]


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


def _row(values: Floats, rows: int, low: float, high: float) -> NDArray[np.int64]:
    """The row of dots of each value, 0 at the top."""
    share = np.clip((values - low) / (high - low), 0.0, 1.0)
    return (rows - 1 - np.round(share * (rows - 1))).astype(np.int64)


def _joined(top: NDArray[np.int64], bottom: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Columns stretched towards the one before, so that they touch."""
    joined_top, joined_bottom = top.copy(), bottom.copy()
    joined_top[1:] = np.minimum(top[1:], bottom[:-1] + 1).clip(max=bottom[1:])
    joined_bottom[1:] = np.maximum(bottom[1:], top[:-1] - 1).clip(min=top[1:])
    return np.minimum(joined_top, top), np.maximum(joined_bottom, bottom)
