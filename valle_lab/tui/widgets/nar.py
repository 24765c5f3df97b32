"""What is decided for all frames at once: the rounds of demasking level 0, and the levels after it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from valle.step import Step
from valle_lab.tui.blocks import SHADES, sampled
from valle_lab.tui.braille import curve
from valle_lab.tui.heat import heat_strips
from valle_lab.tui.lines import Line, to_strip
from valle_lab.tui.part import Picture
from valle_lab.tui.view import View

GUTTER = 28
MOST_BITS = 10.0
LEAST_LEVEL_ROWS = 7


class NarLevels(Picture, can_focus=True):
    """A strip of entropy per level, with its mean and the least margin."""

    ABOUT = frozenset({"takes"})
    SLOWLY = frozenset({"steps"})
    HELP = (
        "## NAR levels\n\nLevels 1 to 7 are decided in one pass each, all frames at once. A strip a level: "
        "the **raw** entropy at every frame from 0 to 10 bits; beside it its mean and the least margin.\n\n"
        "Where level 0 was made by demasking, its rounds stand above, the first one at the top: a frame that "
        "a round decided anew is shaded by its entropy, and dark where its id stayed as it was."
    )
    COMPONENT_CLASSES: ClassVar[set[str]] = {"nar--label", "nar--curve"}

    def __init__(self, view: View, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self.view = view

    def paint(self) -> None:
        take = self.view.take
        width, height = self.size.width - GUTTER, self.size.height
        if take is None or width <= 4:
            self.draw(())
            return
        rounds = raster(take.steps, self.size.width)
        drawn = heat_strips(rounds)[: max(0, height - LEAST_LEVEL_ROWS)] if len(rounds) else []
        lines = level_lines(take.steps, width, height - len(drawn))
        self.draw([*drawn, *(to_strip(line, GUTTER, "nar--label", self.style_of) for line in lines)])
        told = f"{len(rounds)} rounds of level 0" if len(rounds) else ""
        self.say(told if lines or told else "no level after the first has been made yet")


def raster(steps: Sequence[Step], columns: int) -> NDArray[np.int64]:
    """Shades [rounds, columns] of demasking: positions against rounds, of all sentences in a row."""
    segments: dict[int, list[Step]] = {}
    for step in steps:
        if step.place.phase == "nar_len" and len(step.tokens) and step.measures:
            segments.setdefault(step.place.segment, []).append(step)
    if not segments:
        return np.zeros((0, columns), np.int64)
    rounds = max(map(len, segments.values()))
    parts = []
    for made in segments.values():
        part = np.zeros((rounds, len(made[0].tokens)))
        for at, step in enumerate(made):
            entropy = 1.0 + (SHADES - 2) * np.clip(step.measures[0].entropy / MOST_BITS, 0.0, 1.0)
            part[at] = entropy if step.masked is None else np.where(step.masked, entropy, 0.0)
        parts.append(part)
    return sampled(np.concatenate(parts, axis=1), columns).round().astype(np.int64)


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
        words = f"level {level} H {entropy.mean():.2f} margin {margin.min(initial=np.inf):.3f}"
        labels = [words, *[""] * (rows - 1)]
        for label, cells in zip(labels, curve(entropy, width, rows, 0.0, MOST_BITS), strict=True):
            lines.append(Line(label, cells, "nar--curve"))
    return lines[:height]
