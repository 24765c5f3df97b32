"""The levels after the first: what the model felt at every frame of each, in one pass."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import numpy as np

from valle.step import Step
from valle_lab.tui.braille import curve
from valle_lab.tui.lines import Line, to_strip
from valle_lab.tui.part import Picture
from valle_lab.tui.view import View

GUTTER = 27
MOST_BITS = 10.0


class NarLevels(Picture, can_focus=True):
    """A strip of entropy per level, with its mean and the least margin."""

    ABOUT = frozenset({"takes"})
    SLOWLY = frozenset({"steps"})
    HELP = (
        "## NAR levels\n\nLevels 1 to 7 are decided in one pass each, all frames at once. A strip a level: "
        "the **raw** entropy at every frame from 0 to 10 bits; beside it its mean and the least margin."
    )
    COMPONENT_CLASSES: ClassVar[set[str]] = {"nar--label", "nar--curve"}

    def __init__(self, view: View, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self.view = view

    def paint(self) -> None:
        take = self.view.take
        width, height = self.size.width - GUTTER, self.size.height
        lines = level_lines(take.steps, width, height) if take is not None and width > 4 else []
        self.draw([to_strip(line, GUTTER, "nar--label", self.style_of) for line in lines])
        self.say("" if lines else "no level after the first has been made yet")


def level_lines(steps: Sequence[Step], width: int, height: int) -> list[Line]:
    """The strips of all levels that were made, of all sentences one after the other."""
    levels: dict[int, list[Step]] = {}
    for step in steps:
        if step.place.phase == "nar" and step.measures:
            levels.setdefault(step.place.level, []).append(step)
    if not levels:
        return []
    rows = max(1, height // len(levels))
    lines: list[Line] = []
    for level in sorted(levels):
        entropy = np.concatenate([step.measures[0].entropy for step in levels[level]]).astype(np.float64)
        margin = np.concatenate([step.margin for step in levels[level]])
        words = f"level {level} H {entropy.mean():.2f} margin {margin.min(initial=np.inf):.2g}"
        labels = [words, *[""] * (rows - 1)]
        for label, cells in zip(labels, curve(entropy, width, rows, 0.0, MOST_BITS), strict=True):
            lines.append(Line(label, cells, "nar--curve"))
    return lines[:height]
