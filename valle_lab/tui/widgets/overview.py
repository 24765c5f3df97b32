"""Two parts of one subject in one tab, where there is room for both."""

from __future__ import annotations

from textual.app import ComposeResult
from textual.containers import Vertical
from textual.widget import Widget

from valle_lab.tui.part import Part


class Overview(Vertical):
    """The first part, and the second below it in the layouts that have room."""

    def __init__(self, first: Widget, second: Widget) -> None:
        super().__init__(classes="overview")
        self._first, self._second = first, second

    def compose(self) -> ComposeResult:
        yield self._first
        self._second.add_class("-below")
        yield self._second

    def clip(self) -> str:
        """What the first part has to copy."""
        return self._first.clip() if isinstance(self._first, Part) else ""
