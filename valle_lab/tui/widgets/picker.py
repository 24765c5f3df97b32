"""One of a few words, chosen by the arrows or a click; also on and off."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from textual.binding import Binding, BindingType
from textual.content import Content
from textual.message import Message
from textual.widget import Widget


class Picker(Widget, can_focus=True):
    """Shows the choice between two arrows and says `Changed` when a person has made another."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("left,h", "turn(-1)", "Before", id="picker.before", tooltip="The choice before"),
        Binding("right,l,enter", "turn(1)", "Next", id="picker.next", tooltip="The next choice"),
        Binding("backspace,delete", "reset", "Reset", id="picker.reset", tooltip="Back to the default"),
    ]

    class Changed(Message):
        """A person chose another word, or None: the default."""

        def __init__(self, picker: Picker, value: str | None) -> None:
            super().__init__()
            self.picker, self.value = picker, value

        @property
        def control(self) -> Picker:
            return self.picker

    def __init__(self, choices: Sequence[str], value: str, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._choices = tuple(choices)
        self.value = value

    def show(self, value: str) -> None:
        """Show a choice that was not made here."""
        if value != self.value:
            self.value = value
            self.refresh()

    def render(self) -> Content:
        return Content.assemble(("‹ ", "dim"), (self.value, "$text"), (" ›", "dim"))

    def action_turn(self, by: int) -> None:
        at = self._choices.index(self.value) if self.value in self._choices else 0
        self.value = self._choices[(at + by) % len(self._choices)]
        self.refresh()
        self.post_message(self.Changed(self, self.value))

    def action_reset(self) -> None:
        self.post_message(self.Changed(self, None))

    def on_click(self) -> None:
        self.action_turn(1)
