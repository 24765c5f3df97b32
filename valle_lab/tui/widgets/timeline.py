"""The timeline: what the model felt at each decision, in braille strips on fixed axes, with a cursor."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import takewhile
from typing import ClassVar

import numpy as np
from textual.binding import Binding, BindingType
from textual.events import Click, MouseDown, MouseMove, MouseScrollDown, MouseScrollUp, MouseUp
from textual.message import Message

from valle.samplers.regions import REGIONS
from valle_lab.lab.timeline import Timeline as Measured
from valle_lab.tui.axes import AXES, REGION_MARKS, region, time_axis
from valle_lab.tui.braille import column_of, curves, index_at
from valle_lab.tui.lines import Line, to_strip
from valle_lab.tui.messages import CommandWanted
from valle_lab.tui.part import CURSOR, PASSING, Interest, Picture
from valle_lab.tui.view import View

GUTTER = 9
LEAST_ROWS, GOOD_ROWS = 2, 3
"""Of a strip: where all have the least they are all shown, else those that have the good ones, or two."""
ROWS_FOR_REGIONS = 8
EVENT, SEGMENT, PLAYHEAD, FORK, PARTING = "▲", "│", "♪", "├", "≠"
CHANGED, SUPPOSED = "●", "○"
LAYERS = "123456789abcdefghijklmnopqrstuvwxyz"
ALL_LAYERS, DRAFTED = "·", {1: "+", -1: "-"}
ZOOM = 1.5


class Timeline(Picture, can_focus=True):
    """Strips over the decisions of level 0; the cursor says which step the other panes show."""

    ABOUT = frozenset({"steps", "takes", "sound", "view", CURSOR})
    HELP = (
        "## Timeline\n\n"
        "Each column is one decision of level 0, or one id of phonemes, words or a length; or the lowest to "
        "the highest of several where they exceed the columns. All is of the **raw** distribution, "
        "on fixed axes: entropy in bits, varentropy in bits squared, margin (how much better the chosen "
        "token scored than the next, in nats), the probability of stop and the rank of the chosen token "
        "(both logarithmic).\n\n"
        "The line of shades is the entropix region: `·` sure, `░` even (high entropy), `▒` forked (high "
        "varentropy), `▓` lost (both). Below: `▲` a change took effect, `│` a sentence begins, `├` a fork "
        "goes its own way, `≠` two compared takes part, `♪` playing.\n\n"
        "Where steps were decided without all layers a line tells by how many (`1`, `2`, ...; `·` all), or, "
        "with drafts, `+` as early layers had drafted and `-` otherwise.\n\n"
        "With what-if on, a line marks the decisions that the stack as it is would take otherwise: `●` up "
        "to the first change, `○` beyond it, where the codes would be others and all is supposed.\n\n"
        "The cursor follows the newest decision until you move it; `f` lets it follow again."
    )
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("left,h", "move(-1)", "Earlier", show=False, id="timeline.left", tooltip="One decision back"),
        Binding("right,l", "move(1)", "Later", show=False, id="timeline.right", tooltip="One decision on"),
        Binding("shift+left,H", "move(-10)", show=False, id="timeline.left10", tooltip="Ten decisions back"),
        Binding("shift+right,L", "move(10)", show=False, id="timeline.right10", tooltip="Ten decisions on"),
        Binding("home,g", "edge(0)", show=False, id="timeline.first", tooltip="The first decision"),
        Binding("end,G", "edge(1)", show=False, id="timeline.last", tooltip="The last decision so far"),
        Binding("f", "follow", "Follow", id="timeline.follow", tooltip="Follow the newest decision, or stay"),
        Binding("n", "surprise(1)", "Peak", id="timeline.peak", tooltip="Hear the next peak of entropy"),
        Binding("N", "surprise(-1)", show=False, id="timeline.peak_back", tooltip="The peak before"),
        Binding("m", "narrow(1)", "Narrow", id="timeline.narrow", tooltip="Hear the next narrow decision"),
        Binding("M", "narrow(-1)", show=False, id="timeline.narrow_back", tooltip="The narrow one before"),
        Binding("enter", "hear", "Hear", id="timeline.hear", tooltip="Half a second around the cursor"),
        Binding("plus,equals_sign", "zoom(-1)", show=False, id="timeline.in", tooltip="Show fewer decisions"),
        Binding("minus", "zoom(1)", show=False, id="timeline.out", tooltip="Show more decisions"),
        Binding("0", "whole", show=False, id="timeline.whole", tooltip="Show the whole take"),
        Binding("s", "turn", "Measure", id="timeline.turn", tooltip="Put the next measure on top"),
    ]
    COMPONENT_CLASSES: ClassVar[set[str]] = {
        *(f"timeline--{name}" for name in ("label", "axis", "mark", "cursor", "playhead", "supposed")),
        *(f"timeline--{axis.measure}" for axis in AXES),
        *(f"timeline--{name}" for name in REGIONS),
    }

    class Moved(Message):
        """Another decision is looked at."""

    def __init__(self, view: View, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self.view = view
        self._top = 0
        self._dragging = False

    def paint(self) -> None:
        series = self.view.timeline
        width, height = self.size.width - GUTTER, self.size.height
        if width < 4 or height < 2:
            self.draw(())
            return
        start, end = self.view.window
        changes = self._changes(start, end, width)
        early = [_early(series, start, end, width)] if series.early else []
        measures = self._measures(series, start, end, width, height - len(changes) - len(early))
        lines = [*measures, *early, *changes, self._axis(series, start, end, width)]
        cursor = self.view.cursor
        marked = None if cursor is None or not start <= cursor < end else cursor - start
        over = {} if marked is None else {column_of(marked, end - start, width): "timeline--cursor"}
        self.draw([to_strip(line, GUTTER, "timeline--label", self.style_of, over) for line in lines])

    def note(self, subjects: frozenset[Interest]) -> None:
        super().note(subjects)
        if subjects & self.ABOUT - PASSING:
            self._describe()

    def beat(self) -> None:
        super().beat()
        self._describe()

    def _describe(self) -> None:
        """Say below what was measured at the cursor."""
        if self.is_on_screen:
            cursor = self.view.cursor
            self.say(self.view.lack if cursor is None else _described(self.view, cursor))

    def clip(self) -> str:
        timeline = self.view.timeline
        rows = zip(*(timeline.values(axis.measure).tolist() for axis in AXES), strict=True)
        head = ",".join(("seconds", *(axis.measure for axis in AXES)))
        lines = (
            ",".join(f"{value:.6g}" for value in (timeline.seconds(at), *row)) for at, row in enumerate(rows)
        )
        return "\n".join((head, *lines))

    def _measures(self, series: Measured, start: int, end: int, width: int, height: int) -> list[Line]:
        shaded = height >= ROWS_FOR_REGIONS
        rows = height - 1 - shaded
        tight = rows >= LEAST_ROWS * len(AXES) or rows < 2 * GOOD_ROWS
        each = LEAST_ROWS if tight else GOOD_ROWS
        axes = [*AXES[self._top :], *AXES[: self._top]][: max(1, rows // each)]
        each, rest = divmod(rows, len(axes))
        heights = [each + rest, *[each] * (len(axes) - 1)]
        shares = np.stack([axis.shares(series.values(axis.measure)[start:end]) for axis in axes])
        lines: list[Line] = []
        for axis, strip in zip(axes, curves(shares, width, heights), strict=True):
            labels = [axis.label, axis.span, *[""] * len(strip)]
            lines += [Line(*both, f"timeline--{axis.measure}") for both in zip(labels, strip, strict=False)]
        if shaded:
            lines.append(self._regions(series, start, end, width))
        return lines

    def _regions(self, series: Measured, start: int, end: int, width: int) -> Line:
        count = end - start
        if not count:
            return Line("region", " " * width, "timeline--axis")
        phase = "ar" if self.view.take is None else self.view.take.deciding
        used = column_of(count - 1, count, width) + 1
        rows = [start + index_at(cell, count, width) for cell in range(used)]
        entropy, varentropy = series.values("entropy")[rows], series.values("varentropy")[rows]
        shown = region(entropy, varentropy, self.view.lab.stack, phase)
        cells = "".join(REGION_MARKS[name] for name in shown) + " " * (width - used)
        styles = [f"timeline--{name}" for name in shown] + ["timeline--axis"] * (width - used)
        return Line("region", cells, styles)

    def _changes(self, start: int, end: int, width: int) -> list[Line]:
        """What-if: where the stack as it is would take another token."""
        found = self.view.lab.marks.view
        if found is None:
            return []
        cells, styles = [" "] * width, ["timeline--axis"] * width
        for row in np.flatnonzero(found.changed[start:end]).tolist()[::-1]:
            column = column_of(row, end - start, width)
            exact = bool(found.exact[start + row])
            cells[column] = CHANGED if exact else SUPPOSED
            styles[column] = "timeline--mark" if exact else "timeline--supposed"
        return [Line("what-if", "".join(cells), styles)]

    def _axis(self, series: Measured, start: int, end: int, width: int) -> Line:
        cells = list(time_axis(series, start, end, width))
        styles = ["timeline--axis"] * width
        for steps, mark in ((series.segment_starts[1:], SEGMENT), (series.event_marks, EVENT)):
            for step in steps:
                self._mark(cells, styles, min(step, end - 1), start, end, mark, "timeline--mark")
        for step, mark in self._branches(series):
            self._mark(cells, styles, step, start, end, mark, "timeline--mark")
        player = self.view.lab.player
        if player is not None and player.state != "stopped" and len(series):
            playing = series.row_at(player.position)
            self._mark(cells, styles, playing, start, end, PLAYHEAD, "timeline--playhead")
        return Line("", "".join(cells), styles)

    def _branches(self, series: Measured) -> Iterator[tuple[int, str]]:
        """Where the take leaves the one that it was forked from, and the one that it is compared with."""
        take, found = self.view.take, self.view.lab.comparison
        if take is not None and take.fork is not None and take.fork.segment < len(series.segment_starts):
            step = take.fork.step if take.fork.phase == take.deciding else 0
            yield series.segment_starts[take.fork.segment] + step, FORK
        if take is not None and found is not None and found.row is not None and take.name in found.takes:
            yield found.row, PARTING

    def _mark(
        self, cells: list[str], styles: list[str], step: int, start: int, end: int, mark: str, style: str
    ) -> None:
        """Put a mark on the axis; half a label beside it would be read as another number."""
        if start <= step < end:
            column = column_of(step - start, end - start, len(cells))
            for way in (range(column, len(cells)), range(column - 1, -1, -1)):
                for at in takewhile(lambda at: cells[at].isalnum() or cells[at] == ".", way):
                    cells[at] = " "
            cells[column], styles[column] = mark, style

    def action_move(self, by: int) -> None:
        if (cursor := self.view.cursor) is not None:
            self._look_at(cursor + by)

    def action_edge(self, end: int) -> None:
        self._look_at(len(self.view.timeline) if end else 0)

    def action_follow(self) -> None:
        self.view.follow(not self.view.follows)
        self.post_message(self.Moved())

    def action_surprise(self, direction: int) -> None:
        self.post_message(CommandWanted("take.surprise", "entropy", direction < 0))

    def action_narrow(self, direction: int) -> None:
        self.post_message(CommandWanted("take.surprise", "margin", direction < 0))

    def action_hear(self) -> None:
        if (cursor := self.view.cursor) is not None and self.view.timeline.frames:
            self.post_message(CommandWanted("take.around", self.view.timeline.seconds(cursor)))

    def action_zoom(self, direction: int) -> None:
        self.view.zoom(ZOOM**direction)
        self.repaint()

    def action_whole(self) -> None:
        self.view.span = None
        self.repaint()

    def action_turn(self) -> None:
        self._top = (self._top + 1) % len(AXES)
        self.repaint()

    def on_mouse_down(self, event: MouseDown) -> None:
        self._dragging = True
        self.capture_mouse()
        self._point(event.x)

    def on_mouse_move(self, event: MouseMove) -> None:
        if self._dragging:
            self._point(event.x)

    def on_mouse_up(self, event: MouseUp) -> None:
        self._dragging = False
        self.release_mouse()

    def on_click(self, event: Click) -> None:
        if event.chain == 2:
            self.action_hear()

    def on_mouse_scroll_up(self, event: MouseScrollUp) -> None:
        event.stop()
        self.action_zoom(-1) if event.ctrl else self.action_move(-1)

    def on_mouse_scroll_down(self, event: MouseScrollDown) -> None:
        event.stop()
        self.action_zoom(1) if event.ctrl else self.action_move(1)

    def _point(self, x: int) -> None:
        start, end = self.view.window
        width = self.size.width - GUTTER
        if end > start and width > 0:
            self._look_at(start + index_at(min(max(x - GUTTER, 0), width - 1), end - start, width))

    def _look_at(self, index: int) -> None:
        self.view.look_at(index)
        self.post_message(self.Moved())


def _early(series: Measured, start: int, end: int, width: int) -> Line:
    """By how many layers decisions were made, or whether they had been drafted; a cell shows the earliest."""
    count = end - start
    found: dict[int, list[str]] = {}
    for row in range(count):
        layer, drafted = int(series.exit_layers[start + row]), int(series.drafts[start + row])
        mark = LAYERS[min(layer, len(LAYERS)) - 1] if layer else DRAFTED.get(drafted, ALL_LAYERS)
        found.setdefault(column_of(row, count, width), []).append(mark)
    order = LAYERS + DRAFTED[-1] + DRAFTED[1] + ALL_LAYERS
    cells = [min(found[cell], key=order.index) if cell in found else " " for cell in range(width)]
    return Line("layers", "".join(cells), "timeline--axis")


def _described(view: View, cursor: int) -> str:
    """The numbers under the cursor; colour and height are never the only way to read them."""
    entropy, varentropy, margin, stop, rank = (
        float(view.timeline.values(axis.measure)[cursor]) for axis in AXES
    )
    lead = "now" if view.follows and view.take is not None and view.take.running else "step"
    when = f" · {view.timeline.seconds(cursor):.2f} s" if view.timeline.frames else ""
    return (
        f"{lead} {cursor}{when} · H {entropy:.2f} · "
        f"V {varentropy:.1f} · margin {margin:.2f} · stop {stop:.2g} · rank {rank:.0f}"
        f"{_layers(view.timeline, cursor)}"
    )


def _layers(series: Measured, cursor: int) -> str:
    if not series.early:
        return ""
    layer, drafted = int(series.exit_layers[cursor]), int(series.drafts[cursor])
    draft = {1: ", as drafted", -1: ", not as drafted"}.get(drafted, "")
    return f" · {layer or 'all'} layers{draft}"
