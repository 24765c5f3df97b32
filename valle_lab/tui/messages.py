"""What any part of the screen may ask of the app."""

from __future__ import annotations

from typing import Any

from textual.message import Message


class CommandWanted(Message):
    """A command of the lab is to be done."""

    def __init__(self, command: str, *arguments: Any, held: bool = False) -> None:
        """`held`: it goes on with the change of the stack before, and is undone with it."""
        super().__init__()
        self.command, self.arguments, self.held = command, arguments, held


class TextWanted(Message):
    """A command is to be done with a text that a person has to type first."""

    def __init__(self, command: str, title: str, value: str = "", help: str = "", *, first: str = "") -> None:
        """`first`: a command that tells why there is nothing to be typed for, or gives something."""
        super().__init__()
        self.command, self.title, self.value, self.help, self.first = command, title, value, help, first
