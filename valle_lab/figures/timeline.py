"""The measures of every decision of level 0 over the time at which it sounds."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from numpy.typing import NDArray

from valle_lab.figures.canvas import (
    BLUE,
    FINE,
    GREEN,
    GREY,
    ORANGE,
    PURPLE,
    Picture,
    nothing,
    plain,
    sheet,
    title,
)
from valle_lab.lab.timeline import Measure, Timeline
from valle_lab.take_lines import AXES

PANELS: tuple[tuple[Measure, str], ...] = (
    ("entropy", BLUE),
    ("varentropy", PURPLE),
    ("margin", GREEN),
    ("stop", ORANGE),
    ("rank", GREY),
)


def timeline(line: Timeline, row: int | None = None) -> Picture:
    """Five measures, one above the other, on the same axes as on the screen; `row` is marked."""
    if not len(line):
        return nothing("no decision yet")
    figure = sheet(9, 7)
    panels = figure.subplots(len(PANELS), sharex=True, height_ratios=[2, 1.4, 1.4, 1, 1.4])
    seconds = np.array([line.seconds(number) for number in range(len(line))])
    for axes, (measure, colour) in zip(panels, PANELS, strict=True):
        _draw(plain(axes), seconds, line.values(measure), measure, colour)
        for mark in line.event_marks:
            axes.axvline(seconds[min(mark, len(seconds) - 1)], color=ORANGE, linewidth=FINE, linestyle="--")
        for start in line.segment_starts[1:]:
            axes.axvline(seconds[min(start, len(seconds) - 1)], color=GREY, linewidth=FINE)
        if row is not None:
            axes.axvline(seconds[row], color="black", linewidth=FINE, linestyle=":")
    panels[0].plot(seconds, line.values("final_entropy"), color=ORANGE, linewidth=FINE, label="final")
    panels[0].legend(loc="upper right", fontsize="x-small", frameon=False, ncols=2)
    panels[-1].set_xlabel("seconds of speech", fontsize="small")
    panels[-1].set_xlim(0.0, max(float(seconds[-1]), 1 / 75))
    return Picture(figure)


def _draw(
    axes: Axes, seconds: NDArray[np.float64], values: NDArray[np.float64], measure: Measure, colour: str
) -> None:
    low, high, words = AXES[measure]
    words = "entropy, bits" if measure == "entropy" else words
    axes.plot(
        seconds, np.where(np.isfinite(values), values, np.nan), color=colour, linewidth=FINE, label="raw"
    )
    axes.set_ylim(low, high)
    axes.grid(axis="y", linewidth=0.3)
    if (values > high).any():
        words += f"; {np.count_nonzero(values > high)} are higher than {high:g}"
    title(axes, words)
