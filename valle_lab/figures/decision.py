"""One decision: what each stage of the stack left of the distribution, and the logits before and after it."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from matplotlib.axes import Axes

from valle_lab.figures.canvas import BLUE, GREEN, GREY, ORANGE, PURPLE, Picture, nothing, plain, sheet, title
from valle_lab.views import Histogram, StageView

COLUMNS: tuple[tuple[str, str, str, Callable[[StageView], float], str], ...] = (
    ("ids kept", "log", GREY, lambda stage: stage.kept, "{:.0f}"),
    ("probability removed", "linear", ORANGE, lambda stage: stage.removed, "{:.3f}"),
    ("entropy, bits", "linear", BLUE, lambda stage: stage.entropy, "{:.2f}"),
    ("divergence from raw, bits", "linear", PURPLE, lambda stage: stage.divergence, "{:.2f}"),
    ("p of the chosen", "linear", GREEN, lambda stage: stage.probability, "{:.3f}"),
)
PROBABILITIES = ("probability removed", "p of the chosen")


def waterfall(stages: Sequence[StageView]) -> Picture:
    """A row a stage, from raw at the top to the chooser; a stage in brackets did nothing."""
    if not stages:
        return nothing("nothing was measured at this decision")
    figure = sheet(10, 1.0 + 0.3 * len(stages))
    for axes, column in zip(figure.subplots(1, len(COLUMNS), sharey=True), COLUMNS, strict=True):
        _column(plain(axes), stages, *column)
    return Picture(figure)


def _column(
    axes: Axes,
    stages: Sequence[StageView],
    words: str,
    scale: str,
    colour: str,
    value: Callable[[StageView], float],
    form: str,
) -> None:
    values = np.array([value(stage) for stage in stages], float)
    rows = range(len(stages))
    faint = [1.0 if stage.runs else 0.35 for stage in stages]
    for row, drawn, alpha in zip(rows, np.nan_to_num(values), faint, strict=True):
        axes.barh(row, drawn, color=colour, height=0.6, alpha=alpha)
    axes.set_xscale(scale)
    most = float(np.nanmax(values, initial=0.0))
    low = 0.8 if scale == "log" else 0.0
    high = 1.0 if words in PROBABILITIES else max(most, 1e-3)
    axes.set_xlim(low, high**1.6 if scale == "log" else 1.45 * high)
    for row, number in enumerate(values.tolist()):
        axes.text(
            max(number, low) * 1.06 if scale == "log" else number + 0.03 * high,
            row,
            form.format(number),
            va="center",
            fontsize="x-small",
        )
    axes.set_yticks(rows, [stage.stage if stage.runs else f"({stage.stage})" for stage in stages])
    axes.set_ylim(len(stages) - 0.5, -0.5)
    axes.xaxis.set_visible(False)
    axes.spines["bottom"].set_visible(False)
    title(axes, words)


def histogram(bars: Histogram) -> Picture:
    """The logits raw and final on one axis, with a place of their own for those that cannot be taken."""
    figure = sheet(9, 3)
    banned, counted = figure.subplots(1, 2, sharey=True, width_ratios=[1, 12])
    for offset, count, colour in ((-0.2, bars.raw_banned, BLUE), (0.2, bars.final_banned, ORANGE)):
        plain(banned).bar(offset, count, width=0.38, color=colour, alpha=0.7)
    banned.set_xticks([0], ["-inf"])
    banned.set_xlim(-0.6, 0.6)
    banned.set_ylabel("ids", fontsize="small")
    for name, counts, colour in (("raw", bars.raw, BLUE), ("final", bars.final, ORANGE)):
        plain(counted).stairs(counts, bars.edges, fill=True, color=colour, alpha=0.55, label=name)
    _marks(counted, bars)
    counted.set_yscale("symlog", linthresh=1)
    counted.set_ylim(0, 2 * max(1, bars.raw.max(), bars.final.max(), bars.final_banned, bars.raw_banned))
    counted.set_xlabel("logit", fontsize="small")
    counted.legend(loc="upper left", fontsize="x-small", frameon=False)
    return Picture(figure)


def _marks(axes: Axes, bars: Histogram) -> None:
    """Where the chosen token and stop are, raw dotted, final in full."""
    marks = [("chosen", bars.chosen, GREEN), *([] if bars.stop is None else [("stop", bars.stop, PURPLE)])]
    for name, (raw, final), colour in marks:
        if np.isfinite(raw):
            axes.axvline(raw, color=colour, linestyle=":", label=f"{name}, raw")
        if np.isfinite(final):
            axes.axvline(final, color=colour, label=f"{name}, final")
