"""What the parts of the screen have in common: they paint when they are seen and not otherwise."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby, zip_longest
from typing import ClassVar, Protocol, runtime_checkable

from rich.style import Style
from textual.geometry import Region
from textual.strip import Strip
from textual.widget import Widget

from valle_lab.lab.state import Subject
from valle_lab.tui.view import View

Interest = Subject | str
CURSOR = "cursor"
"""What a part may be about besides the lab's subjects: another decision is looked at."""
PASSING: frozenset[Interest] = frozenset({"steps", "sound"})
"""News that come ten times a second while a take is made or heard: what is told of them in words, which
nobody reads so fast, waits for the slow beat."""


@runtime_checkable
class Captioned(Protocol):
    """What holds a part, and has a place for a line of words about it."""

    def caption(self, words: str) -> None: ...


class Part(Widget):
    """Shows something of the lab.

    The screen calls `note` with what changed: `paint` is called at once for what it is `ABOUT`, at the next
    slow beat for what it shows `SLOWLY`, and never while it is hidden: then as soon as it comes into sight.
    """

    ABOUT: ClassVar[frozenset[Interest]] = frozenset()
    SLOWLY: ClassVar[frozenset[Interest]] = frozenset()

    view: View
    stale = True

    def paint(self) -> None:
        """Bring what is shown up to date."""

    def style_of(self, name: str) -> Style:
        """The style of a component class; asked for once, as resolving it costs more than drawing a line."""
        styles: dict[str, Style] = self.__dict__.setdefault("_drawn_styles", {})
        if name not in styles:
            styles[name] = self.get_component_rich_style(name)
        return styles[name]

    def clip(self) -> str:
        """What the key for copying puts on the clipboard; empty where there is nothing."""
        return ""

    def note(self, subjects: frozenset[Interest]) -> None:
        """Told of news; paints where they matter and somebody sees it."""
        if subjects & self.SLOWLY:
            self.stale = True
        if subjects & self.ABOUT:
            self.stale = True
            self._paint_if_seen()

    def beat(self) -> None:
        """Paint if something changed since the last time and this is seen."""
        self._paint_if_seen()

    def repaint(self) -> None:
        """Paint now, whatever changed, for what a person did in the part itself."""
        self.stale = True
        self.beat()

    def say(self, text: str) -> None:
        """Write a line into the lower border of the pane that holds this."""
        for node in self.ancestors:
            if isinstance(node, Captioned):
                node.caption(text)
                return

    def _paint_if_seen(self) -> None:
        if self.stale and self.size and self.is_on_screen:
            self.stale = False
            self.paint()

    def on_show(self) -> None:
        self.call_after_refresh(self.repaint)

    def on_resize(self) -> None:
        self.repaint()

    def notify_style_update(self) -> None:
        """A new theme: colours are taken anew."""
        super().notify_style_update()
        self.__dict__.pop("_drawn_styles", None)
        self.stale = True
        if self.is_attached:
            self.call_later(self.beat)


class Picture(Part):
    """A part of lines that are drawn whole; only those that came out otherwise are painted anew."""

    _drawn: Sequence[Strip] = ()

    def draw(self, lines: Sequence[Strip]) -> None:
        """Show these lines from the top on."""
        before, self._drawn = self._drawn, tuple(lines)
        changed = [y for y, (old, new) in enumerate(zip_longest(before, self._drawn)) if old != new]
        if changed:
            # Textual weighs every region against every widget: neighbours are told as one.
            self.refresh(*(Region(0, y, self.size.width, height) for y, height in runs(changed)))

    def render_lines(self, crop: Region) -> list[Strip]:
        """The lines as they were drawn, where there is no border for Textual to put around them."""
        if self.gutter:
            return super().render_lines(crop)
        lines = [self.render_line(y) for y in crop.line_range]
        _, background = self.background_colors
        for effect in self.get_line_filters():
            lines = [line.apply_filter(effect, background) for line in lines]
        style = self.rich_style if any(line.cell_length < crop.right for line in lines) else None
        return [line.crop_extend(crop.x, crop.right, style) for line in lines]

    def render_line(self, y: int) -> Strip:
        return self._drawn[y] if y < len(self._drawn) else Strip.blank(self.size.width, self.rich_style)


def runs(numbers: Sequence[int]) -> Iterator[tuple[int, int]]:
    """Ascending numbers as stretches without a gap: the first of each, and how many it has."""
    for _, stretch in groupby(enumerate(numbers), lambda pair: pair[1] - pair[0]):
        own = [number for _, number in stretch]
        yield own[0], len(own)
