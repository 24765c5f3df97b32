"""What the parts of the screen have in common: they paint when they are seen and not otherwise."""

from __future__ import annotations

from typing import ClassVar

from textual.content import Content
from textual.widget import Widget

from valle_lab.lab.state import Subject
from valle_lab.tui.view import View

Interest = Subject | str
CURSOR = "cursor"
"""What a part may be about besides the lab's subjects: another decision is looked at."""


class Part(Widget):
    """Shows something of the lab.

    The screen calls `note` with what changed; `paint` is called at once, or for a `SLOW` part at the next
    slow beat, and never while the part is hidden: then it is painted when it comes into sight.
    """

    ABOUT: ClassVar[frozenset[Interest]] = frozenset()
    SLOW: ClassVar[bool] = False

    view: View
    stale = True

    def paint(self) -> None:
        """Bring what is shown up to date."""

    def clip(self) -> str:
        """What the key for copying puts on the clipboard; empty where there is nothing."""
        return ""

    def note(self, subjects: frozenset[Interest]) -> None:
        """Told of news; paints where they matter and somebody sees it."""
        if self.stale or subjects & self.ABOUT:
            self.stale = True
            if not self.SLOW:
                self.beat()

    def beat(self) -> None:
        """Paint if something changed since the last time and this is seen."""
        if self.stale and self.size and self.is_on_screen:
            self.stale = False
            self.paint()

    def repaint(self) -> None:
        """Paint now, whatever changed, for what a person did in the part itself."""
        self.stale = True
        self.beat()

    def say(self, text: str) -> None:
        """Write a line into the lower border of the pane that holds this."""
        for node in self.ancestors:
            if isinstance(node, Widget) and node.has_class("pane"):
                node.border_subtitle = Content(text)
                return

    def on_show(self) -> None:
        self.call_after_refresh(self.repaint)

    def on_resize(self) -> None:
        self.repaint()

    def notify_style_update(self) -> None:
        """A new theme: colours are taken anew."""
        super().notify_style_update()
        self.stale = True
        if self.is_attached:
            self.call_later(self.beat)
