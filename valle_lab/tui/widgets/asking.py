"""The pane in which is asked for a take: all of it is there while somebody writes."""

from __future__ import annotations

from textual import events, on
from textual.containers import Vertical


class Asking(Vertical):
    """Has the class `-used` while the focus is on the text or a field below it, and the timeline `-low`.

    Not by `:focus-within`: Textual styles again only below the nodes that such a rule is about, and these lie
    beside the text. A button that takes the focus changes nothing: it would move away beneath the mouse.
    """

    @on(events.DescendantFocus)
    @on(events.DescendantBlur)
    def _follow(self) -> None:
        # The two messages of one move come in any order; both look where the focus is.
        focused = self.screen.focused
        if focused is None or self.query_one("#controls") not in focused.ancestors:
            self.set_class(self.has_focus_within, "-used")
            self.screen.query_one("#timeline").set_class(self.has_focus_within, "-low")
