"""A whole take: what each stage of its stack did over time, and what the passes of the NAR were like."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib import colormaps
from numpy.typing import NDArray

from valle.step import Step, stage_names
from valle_lab.figures.canvas import BLUE, FINE, GREY, ORANGE, Picture, nothing, plain, sheet, title
from valle_lab.lab.timeline import Timeline
from valle_lab.views import LevelView

MEASURES = (
    ("entropy", "entropy after each stage, bits"),
    ("kept", "ids kept"),
    ("removed", "probability removed"),
)


def stages(line: Timeline) -> Picture:
    """Entropy, ids kept and probability removed after each stage, at every decision of level 0."""
    if not len(line):
        return nothing("no decision yet")
    names = stage_names(line.decisions)
    figure = sheet(9, 6)
    panels = figure.subplots(len(MEASURES), sharex=True)
    seconds = np.array([line.seconds(row) for row in range(len(line))])
    colours = colormaps["viridis"](np.linspace(0.0, 0.9, len(names)))
    for axes, (measure, words) in zip(panels, MEASURES, strict=True):
        for name, colour in zip(names, colours, strict=True):
            drawn = measured(line.decisions, name, measure)
            plain(axes).plot(seconds, drawn, color=colour, linewidth=FINE, label=name)
        title(axes, words)
    panels[1].set_yscale("log")
    panels[0].legend(loc="center left", bbox_to_anchor=(1.0, 0.5), fontsize="x-small", frameon=False)
    panels[-1].set_xlabel("seconds of speech", fontsize="small")
    return Picture(figure)


def levels(views: Sequence[LevelView]) -> Picture:
    """The entropy of each frame in the passes of the NAR: median, and where 80% of the frames are."""
    shown = [view for view in views if len(view.entropy)]
    if not shown:
        return nothing("no pass of the NAR")
    figure = sheet(9, 2.6)
    axes = plain(figure.subplots())
    places = np.arange(len(shown))
    for shift, name, colour in ((-0.15, "entropy", BLUE), (0.15, "final_entropy", ORANGE)):
        spread = np.array([np.quantile(getattr(view, name), (0.1, 0.5, 0.9)) for view in shown])
        around = np.abs(spread[:, [0, 2]] - spread[:, [1]]).T
        label = "raw" if name == "entropy" else "final"
        axes.errorbar(places + shift, spread[:, 1], around, fmt="o", markersize=3, color=colour, label=label)
    several = len({view.segment for view in shown}) > 1
    axes.set_xticks(
        places, [f"{view.segment}/{view.level}" if several else str(view.level) for view in shown]
    )
    axes.set_ylim(0.0, 10.0)
    axes.grid(axis="y", linewidth=0.3, color=GREY)
    axes.set_xlabel("segment/level" if several else "level", fontsize="small")
    axes.legend(loc="upper left", fontsize="x-small", frameon=False)
    title(axes, "entropy of the frames, bits")
    return Picture(figure)


def measured(steps: Sequence[Step], stage: str, measure: str) -> NDArray[np.float64]:
    """A measure after one stage at each step, [steps]; NaN where the stage was not there."""
    there = [next((item for item in step.measures if item.stage == stage), None) for step in steps]
    return np.array([np.nan if item is None else float(getattr(item, measure)[0]) for item in there])
