"""What any part of the screen may ask of the app."""

from __future__ import annotations

from typing import Any

from textual.message import Message


class CommandWanted(Message):
    """A command of the lab is to be done."""

    def __init__(self, command: str, *arguments: Any) -> None:
        super().__init__()
        self.command, self.arguments = command, arguments


class TextWanted(Message):
    """A command is to be done with a text that a person has to type first."""

    def __init__(self, command: str, title: str, value: str = "", help: str = "") -> None:
        super().__init__()
        self.command, self.title, self.value, self.help = command, title, value, help
