"""What a command gave, where it is more than a line."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import ScrollableContainer
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import Static


class AnswerScreen(ModalScreen[None]):
    """A page of lines over the screen, which scrolls and can be copied."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,enter,q", "dismiss", "Close", id="answer.close", tooltip="Close the answer"),
        Binding("j", "scroll(1)", show=False, id="answer.down", tooltip="A line down"),
        Binding("k", "scroll(-1)", show=False, id="answer.up", tooltip="A line up"),
        Binding("y", "copy", "Copy", id="answer.copy", tooltip="Copy all lines, over SSH too (OSC 52)"),
    ]

    def __init__(self, title: str, lines: Sequence[str], *, wrapped: bool = False) -> None:
        """`wrapped`: long lines go on below, instead of being scrolled to; no table is to be kept."""
        super().__init__(classes="-wrapped" if wrapped else None)
        self._title = title
        self._text = "\n".join(lines)

    def compose(self) -> ComposeResult:
        page = ScrollableContainer(Static(Content(self._text), id="answer"), id="page")
        page.border_title = Content(self._title)
        page.border_subtitle = "y copies, escape closes"
        yield page

    def on_mount(self) -> None:
        self.query_one("#page").focus()

    def action_scroll(self, by: int) -> None:
        self.query_one("#page").scroll_relative(y=by, animate=False)

    def action_copy(self) -> None:
        self.app.copy_to_clipboard(self._text)
        self.query_one("#page").border_subtitle = f"{len(self._text)} characters copied"
