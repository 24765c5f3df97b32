"""The names of the panes that share one place where the terminal is narrow."""

from __future__ import annotations

from textual.content import Content
from textual.style import Style
from textual.widgets import Static

from valle_lab.tui.layout import DECK, PANES


class DeckBar(Static):
    """One line; a click brings a pane to the front."""

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__("", id=id, markup=False)

    def show(self, front: str) -> None:
        """Say which pane is in front."""
        names = [
            Content.assemble(
                (f" {PANES[name]} ", "dim"), (f"{name} ", "bold reverse" if name == front else "")
            ).stylize(Style.from_meta({"@click": f"app.go('{name}')"}))
            for name in DECK
        ]
        self.update(Content("│").join(names))
