"""Help: what the focused part does, and every command with its key."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from rich.markup import escape
from rich.table import Table
from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.screen import ModalScreen
from textual.widgets import Static

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
        # Takes a while to import, and the keys of this screen are wanted before the lab's first frame.
        from textual.widgets import Markdown

        with VerticalScroll(id="page"):
            if self._about:
                yield Markdown(self._about)
            if self._here:
                yield Static(self._keys_here(), id="keys-here")
            yield Static(self._table(), id="commands")

    def on_mount(self) -> None:
        self.query_one("#page").border_title = "help"
        self.query_one("#page").border_subtitle = "escape closes"

    def _keys_here(self) -> Table:
        table = _table("keys here", "", "name in [keys]")
        for item in self._here:
            table.add_row(Text(item.key, style="bold"), Text(item.does), Text(item.name, style="dim"))
        return table

    def _table(self) -> Table:
        table = _table("commands: F2 types one, ctrl+p finds one", "key", "")
        for command in self._commands:
            key = self._keys.get(command.name, command.key)
            table.add_row(Text(command.usage, style="bold"), Text(key), Text(command.help))
        return table


def _table(*titles: str) -> Table:
    # Titles are markup to rich, and "[keys]" would vanish.
    table = Table(*map(escape, titles), box=None, padding=(0, 2, 0, 0), show_edge=False)
    table.columns[0].no_wrap = True
    return table
