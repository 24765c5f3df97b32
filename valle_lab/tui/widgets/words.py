"""A value that is neither a number nor a choice, in words: ids, biases, a curve; or the help of a stage."""

from __future__ import annotations

from typing import ClassVar

from textual.binding import Binding, BindingType
from textual.content import Content
from textual.message import Message
from textual.widget import Widget


class Words(Widget, can_focus=True):
    """One line; says `EditWanted` when a person wants to change it."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "edit", "Edit", id="words.edit", tooltip="Change this value"),
        Binding("backspace,delete", "reset", "Reset", id="words.reset", tooltip="Back to the default"),
    ]

    class EditWanted(Message):
        """The value is to be changed."""

        def __init__(self, words: Words) -> None:
            super().__init__()
            self.words = words

    class ResetWanted(EditWanted):
        """The default is wanted back."""

    def __init__(self, text: str, *, muted: bool = False, id: str | None = None) -> None:
        super().__init__(id=id)
        self.text = text
        self._style = "dim" if muted else "$text"

    def show(self, text: str) -> None:
        """Show another text."""
        if text != self.text:
            self.text = text
            self.refresh()

    def render(self) -> Content:
        return Content.styled(self.text, self._style)

    def action_edit(self) -> None:
        self.post_message(self.EditWanted(self))

    def action_reset(self) -> None:
        self.post_message(self.ResetWanted(self))

    def on_click(self) -> None:
        self.action_edit()
