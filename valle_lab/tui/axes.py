"""Axes of the timeline: fixed, so that two takes can be compared by eye and nothing jumps while one runs."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from valle.request import FRAME_RATE
from valle.samplers.regions import REGIONS, regions
from valle.samplers.stack import Stack
from valle.samplers.stages import STAGES
from valle_lab.lab.timeline import Measure, Timeline, Values
from valle_lab.tui.braille import column_of

LEAST_PROBABILITY = 1e-6
TICKS = (0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 60.0)
"""Seconds between the labels of the axis of time."""
ROWS = (5.0, 10.0, 20.0, 50.0, 100.0)
"""Decisions between them."""
LABEL_CELLS = 8
HALF_A_FRAME = 0.5 / FRAME_RATE

REGION_MARKS = dict(zip(REGIONS, "·░▒▓ ", strict=True))
ENTROPIX = "entropix"


@dataclass(frozen=True, slots=True)
class Axis:
    """What one strip shows, and between which values."""

    measure: Measure
    label: str
    span: str
    low: float
    high: float

    def shares(self, values: Values) -> Values:
        """How far up the axis the values are, 0 to 1: by their logarithms for probabilities and ranks."""
        if self.measure == "stop":
            values = np.log10(np.maximum(values, LEAST_PROBABILITY))
        elif self.measure == "rank":
            values = np.log2(1.0 + values)
        return (values - self.low) / (self.high - self.low)


AXES = (
    Axis("entropy", "entropy", "0–10 bit", 0.0, 10.0),
    Axis("varentropy", "varentr.", "0–27 b²", 0.0, 27.0),
    Axis("margin", "margin", "0–5 nat", 0.0, 5.0),
    Axis("stop", "stop", "1µ–1", -6.0, 0.0),
    Axis("rank", "rank", "0–1023", 0.0, 10.0),
)
"""1025 ids have at most 10.001 bits of entropy and 27.0 bits squared of varentropy."""


def region(entropy: Values, varentropy: Values, stack: Stack | None, phase: str = "ar") -> list[str]:
    """The entropix region of each decision of a phase, by the thresholds of the stack where it has that
    stage."""
    stages = stack.effective(phase) if stack is not None and phase in stack.lists else ()
    own = next((dict(stage.parameters) for stage in stages if stage.declaration.name == ENTROPIX), None)
    limits = own or {parameter.name: parameter.default for parameter in STAGES[ENTROPIX].parameters}
    return [REGIONS[number] for number in regions(entropy, varentropy, limits)]


def time_axis(timeline: Timeline, start: int, end: int, width: int) -> str:
    """Seconds below a strip of `width` cells that shows the decisions from `start` to `end`.

    Where nothing sounds they are the numbers of the decisions.
    """
    cells = [" "] * width
    count, sounds = end - start, bool(timeline.frames)
    if count:
        begun, ended = (timeline.seconds(row) if sounds else row for row in (start, end - 1))
        per_cell = (ended - begun) / max(1, column_of(count - 1, count, width))
        ticks = TICKS if sounds else ROWS
        step = next((tick for tick in ticks if tick >= LABEL_CELLS * per_cell), ticks[-1])
        for number in range(math.ceil(begun / step), math.floor(ended / step) + 1):
            row = timeline.row_at(number * step + HALF_A_FRAME) if sounds else round(number * step)
            label = f"{number * step:g}{'s' if sounds else ''}"
            _write(cells, column_of(row - start, count, width), label)
    return "".join(cells)


def _write(cells: list[str], column: int, text: str) -> None:
    if column + len(text) <= len(cells):
        cells[column : column + len(text)] = text
