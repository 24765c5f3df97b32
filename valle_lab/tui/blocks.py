"""Bars of eighths of a cell, and heat maps of two points a cell. No Textual."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

EIGHTHS = " ▁▂▃▄▅▆▇█"
SHADES = 16
"""Steps of a heat map: coarse, so that neighbours are often equal and a frame has few escape codes."""


def bars(shares: NDArray[np.float64], height: int) -> list[str]:
    """The lines of bars, top first, of these shares (0 to 1) of the height; what is not 0 can be seen."""
    eighths = np.ceil(np.clip(shares, 0.0, 1.0) * height * 8).astype(int)
    lines = []
    for row in reversed(range(height)):
        parts = np.clip(eighths - 8 * row, 0, 8)
        lines.append("".join(EIGHTHS[part] for part in parts.tolist()))
    return lines


def shades(values: NDArray[np.float64], low: float, high: float) -> NDArray[np.int64]:
    """Values as steps of a heat map, 0 to `SHADES` - 1."""
    scaled = (np.nan_to_num(values, nan=low) - low) / ((high - low) or 1.0)
    return np.clip(np.round(scaled * (SHADES - 1)), 0, SHADES - 1).astype(np.int64)


def sampled(values: NDArray[np.float64], columns: int) -> NDArray[np.float64]:
    """The last axis brought to so many columns, each a value that is there: names have no highest one."""
    count = values.shape[-1]
    if count == 0:
        return np.zeros((*values.shape[:-1], columns))
    return np.asarray(values[..., (2 * np.arange(columns) + 1) * count // (2 * columns)], np.float64)


def fitted(values: NDArray[np.float64], columns: int) -> NDArray[np.float64]:
    """The last axis brought to so many columns: the highest value of each share, or values repeated."""
    count = values.shape[-1]
    if count == 0:
        return np.zeros((*values.shape[:-1], columns))
    if count >= columns:
        starts = np.arange(columns) * count // columns
        return np.asarray(np.maximum.reduceat(values, starts, axis=-1), np.float64)
    return np.asarray(values[..., np.arange(columns) * count // columns], np.float64)
