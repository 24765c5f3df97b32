"""Help: what the focused part does, and every command with its key."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import Markdown, Static

from valle_lab.lab.registry import Registry


@dataclass(frozen=True, slots=True)
class KeyHelp:
    """A key of the part that has the focus."""

    key: str
    name: str
    does: str


class HelpScreen(ModalScreen[None]):
    """A page of help over the screen."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,f1,q", "dismiss", "Close", id="help.close", tooltip="Close the help")
    ]

    def __init__(self, about: str, here: Sequence[KeyHelp], commands: Registry, keys: dict[str, str]) -> None:
        super().__init__()
        self._about = about
        self._here = here
        self._commands = commands
        self._keys = keys

    def compose(self) -> ComposeResult:
        with VerticalScroll(id="page"):
            if self._about:
                yield Markdown(self._about)
            if self._here:
                yield Static(self._keys_here(), id="keys-here")
            yield Static(self._table(), id="commands")

    def on_mount(self) -> None:
        self.query_one("#page").border_title = "help"
        self.query_one("#page").border_subtitle = "escape closes"

    def _keys_here(self) -> Content:
        lines = [Content.styled("keys here (key, what it does, its name in [keys])", "bold"), Content("")]
        for item in self._here:
            key = Content.styled(f"{item.key:14}", "$accent")
            lines.append(Content.assemble(key, f" {item.does:44} ", (item.name, "dim")))
        return Content("\n").join([*lines, Content("")])

    def _table(self) -> Content:
        lines = [Content.styled("commands (F2 types one, ctrl+p finds one)", "bold"), Content("")]
        width = max(len(command.usage) for command in self._commands)
        for command in self._commands:
            key = self._keys.get(command.name, command.key)
            usage = Content.styled(f"{command.usage:{width}}", "$accent")
            lines.append(Content.assemble(usage, f"  {key:8}  {command.help}"))
        return Content("\n").join(lines)
