"""A line for one text: a name, a note, ids, a transcript."""

from __future__ import annotations

from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import Input, Static


class AskTextScreen(ModalScreen[str | None]):
    """Gives what was typed, or None where it was not wanted after all."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "dismiss(None)", "Close", id="ask.close", tooltip="Change nothing")
    ]

    def __init__(self, title: str, value: str = "", help: str = "") -> None:
        super().__init__()
        self._title, self._value, self._help = title, value, help

    def compose(self) -> ComposeResult:
        with Vertical(id="line"):
            yield Input(self._value, id="typed", select_on_focus=False)
            yield Static(Content(self._help), id="usage")

    def on_mount(self) -> None:
        self.query_one("#line").border_title = Content(self._title)
        self.query_one("#line").border_subtitle = "enter takes it, escape does not"

    @on(Input.Submitted, "#typed")
    def _done(self, event: Input.Submitted) -> None:
        self.dismiss(event.value)
