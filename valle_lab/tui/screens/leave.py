"""The question before the lab is left with takes that are not saved."""

from __future__ import annotations

from typing import ClassVar, Literal

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.screen import ModalScreen
from textual.widgets import Button, Label

Answer = Literal["save", "discard", "stay"]


class LeaveScreen(ModalScreen[Answer]):
    """Save, discard or stay."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("s", "answer('save')", "Save", id="leave.save", tooltip="Save the session and leave"),
        Binding("d", "answer('discard')", "Discard", id="leave.discard", tooltip="Leave without saving"),
        Binding("escape", "answer('stay')", "Stay", id="leave.stay", tooltip="Go back to the lab"),
    ]

    def __init__(self, takes: int) -> None:
        super().__init__()
        self._takes = takes

    def compose(self) -> ComposeResult:
        with Vertical(id="question"):
            yield Label(f"This session ({self._takes} take{'s'[: self._takes != 1]}) is not saved.")
            with Horizontal():
                yield Button(
                    "Save and leave (s)", variant="primary", action="screen.answer('save')", compact=True
                )
                yield Button("Discard (d)", variant="error", action="screen.answer('discard')", compact=True)
                yield Button("Stay (esc)", action="screen.answer('stay')", compact=True)

    def action_answer(self, answer: Answer) -> None:
        """Close with this answer."""
        self.dismiss(answer)
