"""The list of takes."""

from __future__ import annotations

from typing import ClassVar

from rich.text import Text
from textual.binding import Binding, BindingType
from textual.message import Message
from textual.widgets import DataTable

from valle_lab.lab.state import LabTake
from valle_lab.tui.part import Part
from valle_lab.tui.view import View

MOST_SHOWN = 200
COLUMNS = ("take", "stop", "seconds", "seed", "voice", "text")


class TakeList(DataTable[Text], Part):
    """Every take of the session; the one under the cursor is shown, played and saved."""

    HELP = (
        "The takes of this session. Up and down (`k` and `j`) choose the one that is shown, played and saved."
    )
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("j", "cursor_down", "Down", show=False, id="takes.down", tooltip="The next take"),
        Binding("k", "cursor_up", "Up", show=False, id="takes.up", tooltip="The take before"),
    ]

    class Chosen(Message):
        """A take was chosen in the list."""

        def __init__(self, name: str) -> None:
            super().__init__()
            self.name = name

    ABOUT = frozenset({"takes", "steps"})

    def __init__(self, view: View, *, id: str | None = None) -> None:
        super().__init__(id=id, cursor_type="row", zebra_stripes=False)
        self.view = view

    def on_mount(self) -> None:
        for column in COLUMNS:
            self.add_column(column, key=column)

    def paint(self) -> None:
        """Bring the rows up to date, without touching those that stay as they are."""
        takes, chosen = self.view.lab.takes, self.view.lab.chosen
        known = {key.value for key in self.rows}
        for key in known - {take.name for take in takes}:
            self.remove_row(str(key))
        with self.prevent(DataTable.RowHighlighted):
            for take in takes:
                cells = _cells(take)
                if take.name not in known:
                    self.add_row(*cells, key=take.name)
                elif take.running or self.get_cell(take.name, "stop") != cells[1]:
                    for column, cell in zip(COLUMNS, cells, strict=True):
                        self.update_cell(take.name, column, cell, update_width=True)
            if chosen is not None:
                self.move_cursor(row=self.get_row_index(chosen.name))

    def on_data_table_row_highlighted(self, event: DataTable.RowHighlighted) -> None:
        event.stop()
        if event.row_key.value is not None and self.has_focus:
            self.post_message(self.Chosen(event.row_key.value))


def _cells(take: LabTake) -> tuple[Text, ...]:
    frames = take.timeline.frames
    words = (
        take.name,
        take.stop or "…",
        f"{frames / 75:.2f}",
        str(take.seed),
        take.voice or "none",
        take.text[:MOST_SHOWN],
    )
    return tuple(Text(word.replace("\n", " ")) for word in words)
