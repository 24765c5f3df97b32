"""Jump mode: a letter over every part that can have the focus; pressing it goes there."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.content import Content
from textual.events import Click, Key
from textual.geometry import Offset
from textual.screen import ModalScreen
from textual.widgets import Static

LETTERS = "asdfghjklqwertyuiopzxcvbnm1234567890"


class JumpScreen(ModalScreen[str | None]):
    """Shows the letters where they lead, and gives the one that was pressed."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "dismiss(None)", "Close", id="jump.close", tooltip="Stay here")
    ]

    def __init__(self, places: Mapping[str, Offset]) -> None:
        super().__init__()
        self._places = places

    def compose(self) -> ComposeResult:
        for letter, place in self._places.items():
            label = Static(Content(f" {letter} "), classes="jump")
            label.styles.offset = place
            yield label

    def on_key(self, event: Key) -> None:
        if event.character in self._places:
            event.stop()
            self.dismiss(event.character)

    def on_click(self, event: Click) -> None:
        self.dismiss(None)
