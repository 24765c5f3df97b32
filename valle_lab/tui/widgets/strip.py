"""A strip of one measure over the steps of a take, on a fixed axis, drawn in braille by the line API."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import numpy as np
from rich.segment import Segment
from rich.style import Style
from textual.geometry import Size
from textual.strip import Strip
from textual.widget import Widget

from valle_lab.lab.timeline import Timeline
from valle_lab.tui.braille import column_of, curve

GUTTER = 3
LOW, HIGH = 0.0, 10.0
"""Bits; 1025 ids have at most 10.001."""
EVENT, SEGMENT = "▲", "│"


class EntropyStrip(Widget):
    """Entropy per step in bits; grows while a take runs, min to max where steps exceed columns."""

    HELP = (
        "Entropy of the **raw** distribution at each step of level 0, on a fixed axis from 0 to 10 bits. "
        "Where there are more steps than columns each column spans the lowest to the highest of its steps. "
        "Below: `▲` a change took effect, `│` a sentence begins."
    )
    COMPONENT_CLASSES: ClassVar[set[str]] = {"strip--curve", "strip--axis", "strip--mark"}

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self.border_title = "entropy, raw, bits"
        self._timeline = Timeline()
        self._strips: list[Strip] = []
        self._drawn: tuple[object, ...] = ()

    def show(self, timeline: Timeline) -> None:
        """Draw a take's timeline so far; costs nothing where nothing changed or nobody sees it."""
        self._timeline = timeline
        state = (id(timeline), len(timeline.entropy), len(timeline.event_marks), self.size)
        if state == self._drawn or not self.is_on_screen or not self.size:
            return
        self._drawn = state
        self._strips = self._draw(self.size)
        last = f"{timeline.entropy[-1]:.2f} now" if timeline.entropy else ""
        self.border_subtitle = last
        self.refresh()

    def on_resize(self) -> None:
        self.show(self._timeline)

    def notify_style_update(self) -> None:
        """A new theme: styles are taken anew."""
        super().notify_style_update()
        self._drawn = ()
        self.show(self._timeline)

    def render_line(self, y: int) -> Strip:
        return self._strips[y] if y < len(self._strips) else Strip.blank(self.size.width, self.rich_style)

    def _draw(self, size: Size) -> list[Strip]:
        width, height = size.width - GUTTER, size.height - 1
        if width < 1 or height < 1:
            return []
        axis = self.get_component_rich_style("strip--axis")
        line = self.get_component_rich_style("strip--curve")
        values = np.array(self._timeline.entropy)
        rows = curve(values, width, height, LOW, HIGH)
        labels = [" " * GUTTER] * height
        labels[-1], labels[0] = f"{LOW:>2.0f} ", f"{HIGH:>2.0f} "
        strips = [
            Strip([Segment(label, axis), Segment(row, line)], size.width)
            for label, row in zip(labels, rows, strict=True)
        ]
        return [*strips, self._marks(width, len(values), axis)]

    def _marks(self, width: int, count: int, axis: Style) -> Strip:
        mark = self.get_component_rich_style("strip--mark")
        cells = [" "] * width
        _put(cells, self._timeline.segment_starts[1:], count, SEGMENT)
        _put(cells, self._timeline.event_marks, count, EVENT)
        return Strip([Segment(" " * GUTTER, axis), Segment("".join(cells), mark)], width + GUTTER)


def _put(cells: list[str], steps: Sequence[int], count: int, mark: str) -> None:
    for step in steps:
        if count:
            cells[column_of(min(step, count - 1), count, len(cells))] = mark
