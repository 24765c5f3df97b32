"""The course of a training run, from its metrics file."""

from __future__ import annotations

import json
from pathlib import Path

from matplotlib.axes import Axes

from valle.errors import UserError
from valle_lab.figures.canvas import BLUE, FINE, GREEN, GREY, ORANGE, PURPLE, Picture, plain, sheet, title

METRICS = "metrics.jsonl"
COLOURS = (BLUE, ORANGE, GREEN, PURPLE, GREY)
NO_LOSS = ("minutes", "step", "of", "utterances")
RIGHT = "_right"


def draw_metrics(run: Path, out: Path | None = None) -> Path:
    """Draw losses and shares of right ids of a run by step, into its folder unless `out` names a file.

    Raises UserError where the run has no metrics, or a line of them cannot be read.
    """
    lines = read_metrics(run / METRICS)
    figure = sheet(9, 6)
    upper, lower = figure.subplots(2, 1, sharex=True)
    names = list(dict.fromkeys(name for line in lines for name in line if name not in NO_LOSS))
    _curves(upper, lines, [name for name in names if not name.endswith(RIGHT)], "mean loss in nats")
    _curves(lower, lines, [name for name in names if name.endswith(RIGHT)], "share of right ids")
    lower.set_xlabel("step", fontsize="small")
    return Picture(figure).save(out or run / "metrics.png")


def read_metrics(path: Path) -> list[dict[str, float]]:
    """The lines of a metrics file, the last that a step has: a run that goes on may tell one again."""
    try:
        lines = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
        found = {int(line["step"]): line for line in lines}
    except FileNotFoundError:
        raise UserError(f"{path}: is not there; train the run first") from None
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise UserError(f"{path}: is no metrics file: {error}") from error
    if not found:
        raise UserError(f"{path}: is empty; train the run for some steps first")
    return [found[step] for step in sorted(found)]


def _curves(axes: Axes, lines: list[dict[str, float]], names: list[str], text: str) -> None:
    plain(axes)
    title(axes, text)
    for index, name in enumerate(names):
        there = [line for line in lines if name in line]
        colour, dashes = COLOURS[index % len(COLOURS)], "-" if index < len(COLOURS) else "--"
        steps, values = [line["step"] for line in there], [line[name] for line in there]
        axes.plot(steps, values, dashes, color=colour, linewidth=FINE, label=name.removesuffix(RIGHT))
    if names:
        axes.legend(fontsize="x-small", frameon=False, ncols=3)
