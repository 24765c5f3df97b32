"""Heat maps as strips: two points a cell by the upper half block, in few colours, equal cells merged."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from rich.color import Color
from rich.segment import Segment
from rich.style import Style
from textual.strip import Strip

from valle_lab.tui.blocks import SHADES

HALF = "▀"
ENDS = ((13, 8, 66), (122, 30, 110), (221, 81, 58), (250, 230, 110))
"""From dark to light without a step back in lightness, so that it reads without colour too."""


def heat_strips(levels: NDArray[np.int64]) -> list[Strip]:
    """The lines of a picture of shades [rows, columns]; an odd last row has an empty half below it."""
    rows, columns = levels.shape
    strips = []
    for y in range(0, rows, 2):
        top = levels[y].tolist()
        bottom = levels[y + 1].tolist() if y + 1 < rows else [None] * columns
        segments: list[Segment] = []
        start = 0
        for x in range(1, columns + 1):
            if x == columns or (top[x], bottom[x]) != (top[start], bottom[start]):
                segments.append(Segment(HALF * (x - start), _style(top[start], bottom[start])))
                start = x
        strips.append(Strip(segments, columns))
    return strips


@lru_cache(maxsize=SHADES * (SHADES + 1))
def _style(top: int, bottom: int | None) -> Style:
    return Style(color=_colour(top), bgcolor=None if bottom is None else _colour(bottom))


@lru_cache(maxsize=SHADES)
def _colour(shade: int) -> Color:
    place = shade / (SHADES - 1) * (len(ENDS) - 1)
    before = min(int(place), len(ENDS) - 2)
    share = place - before
    mixed = (a + (b - a) * share for a, b in zip(ENDS[before], ENDS[before + 1], strict=True))
    red, green, blue = (round(value) for value in mixed)
    return Color.from_rgb(red, green, blue)
