"""The logits of one decision as a histogram: raw above, final below, on one axis."""

from __future__ import annotations

import math
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from valle_lab.tui.blocks import bars, fitted
from valle_lab.tui.lines import Line, to_strip
from valle_lab.tui.part import CURSOR, Picture
from valle_lab.tui.view import View
from valle_lab.views import Histogram as Counts

GUTTER = 9
CHOSEN, STOP = "◆", "■"
LABEL_CELLS = 12


class HistogramView(Picture, can_focus=True):
    """Bars of how many ids have a logit near each value; what cannot be taken is a bar of its own."""

    ABOUT = frozenset({"takes", "view"})
    SLOWLY = frozenset({CURSOR})
    HELP = (
        "## Histogram\n\nHow many ids have which logit: **raw** as the model gave them, **final** after the "
        "whole stack, on one axis; heights are logarithmic. At the left how many are -inf. `◆` marks the "
        "chosen token, `■` stop."
    )
    COMPONENT_CLASSES: ClassVar[set[str]] = {
        f"histogram--{name}" for name in ("raw", "final", "axis", "chosen", "stop")
    }

    def __init__(self, view: View, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self.view = view

    def paint(self) -> None:
        seen = self.view.seen
        width, height = self.size.width - GUTTER, self.size.height
        lines: list[Line] = []
        if seen is not None and width > 10 and height > 4:
            lines = histogram_lines(seen.histogram, width, height)
        self.draw([to_strip(line, GUTTER, "histogram--axis", self.style_of) for line in lines])
        self.say(self.view.step_words)


def histogram_lines(counts: Counts, width: int, height: int) -> list[Line]:
    """The picture: bars of raw, the axis with marks, bars of final."""
    each, rest = divmod(height - 3, 2)
    highest = math.log1p(max(int(counts.raw.max()), int(counts.final.max()), 1))
    return [
        *_bars("raw", counts.raw, counts.raw_banned, highest, width, each + rest),
        _marks(counts, width, 0),
        *_bars("final", counts.final, counts.final_banned, highest, width, each),
        _marks(counts, width, 1),
        _axis(counts, width),
    ]


def _bars(
    name: str, values: NDArray[np.int32], banned: int, highest: float, width: int, rows: int
) -> list[Line]:
    labels = [name, f"-inf {banned}", *[""] * rows][:rows]
    shares = np.log1p(fitted(values.astype(np.float64), width)) / highest
    return [
        Line(label, cells, f"histogram--{name}")
        for label, cells in zip(labels, bars(shares, rows), strict=True)
    ]


def _axis(counts: Counts, width: int) -> Line:
    """Values of the logits."""
    cells = [" "] * width
    low, high = float(counts.edges[0]), float(counts.edges[-1])
    for column in range(0, width - LABEL_CELLS // 2, LABEL_CELLS):
        text = f"{low + (high - low) * column / width:.1f}"
        cells[column : column + len(text)] = text
    return Line("logit", "".join(cells), "histogram--axis")


def _marks(counts: Counts, width: int, which: int) -> Line:
    """Where the chosen token and stop are, raw (0) or final (1)."""
    cells, styles = [" "] * width, ["histogram--axis"] * width
    low, high = float(counts.edges[0]), float(counts.edges[-1])
    places = [(counts.chosen[which], CHOSEN, "histogram--chosen")]
    if counts.stop is not None:
        places.insert(0, (counts.stop[which], STOP, "histogram--stop"))
    for value, mark, style in places:
        if math.isfinite(value) and high > low:
            column = min(width - 1, max(0, int((value - low) / (high - low) * width)))
            cells[column], styles[column] = mark, style
    return Line("", "".join(cells), styles)
