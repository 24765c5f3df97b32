"""Tables that are painted often: lines of their own, of which only those that changed cost anything."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from rich.cells import cell_len, set_cell_size
from rich.segment import Segment
from textual.binding import Binding, BindingType
from textual.events import Click, MouseScrollDown, MouseScrollUp
from textual.geometry import Size
from textual.message import Message
from textual.strip import Strip

from valle_lab.tui.part import CURSOR, Picture
from valle_lab.tui.view import View

GAP = " "
ELLIPSIS = "…"
THUMB, TRACK = "▐", " "
UNPRINTABLE = {code: " " for code in (*range(32), 127)}


@dataclass(frozen=True, slots=True)
class Cell:
    """What stands in one place of a table."""

    text: str = ""
    right: bool = False
    style: str = "text"
    """`text`, `strong` or `muted`."""
    share: float | None = None
    """Where it is given a bar that fills so much of the column lies over the text."""


Cells = Sequence[Cell]


def number(text: str, style: str = "text") -> Cell:
    """A cell at the right of its column."""
    return Cell(text, True, style)


class Table(Picture, can_focus=True):
    """A line of titles and rows below it, one of them under the cursor."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("up,k", "row(-1)", show=False, id="table.up", tooltip="The row above"),
        Binding("down,j", "row(1)", show=False, id="table.down", tooltip="The row below"),
        Binding("pageup", "page(-1)", show=False, id="table.page_up", tooltip="A page up"),
        Binding("pagedown", "page(1)", show=False, id="table.page_down", tooltip="A page down"),
        Binding("home,g", "edge(0)", show=False, id="table.first", tooltip="The first row"),
        Binding("end,G", "edge(1)", show=False, id="table.last", tooltip="The last row"),
        Binding("enter", "choose", show=False, id="table.choose", tooltip="Take this row"),
    ]
    YIELDING: ClassVar[Sequence[int]] = (-1,)
    """The columns that become narrower where there is not room for all, one after the other."""
    COMPONENT_CLASSES: ClassVar[set[str]] = {
        f"table--{name}" for name in ("head", "text", "strong", "muted", "cursor", "held", "bar")
    }

    class Moved(Message):
        """A person went to another row."""

        def __init__(self, table: Table, row: int) -> None:
            super().__init__()
            self.table, self.row = table, row

    class Chosen(Moved):
        """A person took a row."""

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self.row = 0
        """The row under the cursor; 0 where there is none."""
        self._columns: tuple[str, ...] = ()
        self._rows: tuple[Cells, ...] = ()
        self._first = 0
        """The uppermost row that is seen."""

    def fill(self, columns: Sequence[str], rows: Sequence[Cells], row: int | None = None) -> None:
        """Show these rows under these titles, with the cursor on `row`, or where it was."""
        higher = len(rows) != len(self._rows)
        self._columns, self._rows = tuple(columns), tuple(rows)
        self.row = min(self.row if row is None else row, max(0, len(rows) - 1))
        self._lay_out()
        if higher and self.styles.is_auto_height:
            self.refresh(layout=True)

    @property
    def hint(self) -> str:
        """What stands there while there is no row: how to come to one."""
        return ""

    def paint(self) -> None:
        self._lay_out()

    def clip(self) -> str:
        """The whole table with tabs between its columns, to be pasted into a spreadsheet."""
        lines = [self._columns, *([cell.text for cell in row] for row in self._rows)]
        return "\n".join("\t".join(text.strip() for text in line) for line in lines)

    def get_content_height(self, container: Size, viewport: Size, width: int) -> int:
        return len(self._rows) + 1

    def action_row(self, by: int) -> None:
        self._go(self.row + by)

    def action_page(self, by: int) -> None:
        self._go(self.row + by * max(1, self._room - 1))

    def action_edge(self, end: int) -> None:
        self._go(len(self._rows) if end else 0)

    def action_choose(self) -> None:
        if self._rows:
            self.post_message(self.Chosen(self, self.row))

    def on_click(self, event: Click) -> None:
        row = self._first + event.y - 1
        if event.y > 0 and row < len(self._rows):
            self._go(row)
            if event.chain == 2:
                self.action_choose()

    def on_mouse_scroll_up(self, event: MouseScrollUp) -> None:
        event.stop()
        self._scroll(-1)

    def on_mouse_scroll_down(self, event: MouseScrollDown) -> None:
        event.stop()
        self._scroll(1)

    def on_focus(self) -> None:
        self._lay_out()

    def on_blur(self) -> None:
        self._lay_out()

    @property
    def _room(self) -> int:
        """How many rows are seen."""
        return max(0, self.size.height - 1)

    def _go(self, row: int) -> None:
        row = max(0, min(row, len(self._rows) - 1))
        if row != self.row:
            self.row = row
            self._lay_out()
            self.post_message(self.Moved(self, row))

    def _scroll(self, by: int) -> None:
        self._first = max(0, min(self._first + by, len(self._rows) - self._room))
        self._draw_rows()

    def _lay_out(self) -> None:
        """Draw the rows around the cursor."""
        highest = max(0, len(self._rows) - self._room)
        self._first = max(self.row - self._room + 1, min(self._first, self.row, highest), 0)
        self._draw_rows()

    def _draw_rows(self) -> None:
        if not self.size or not (self._columns or self.hint):
            self.draw(())
            return
        longer = len(self._rows) > self._room
        width = self.size.width - longer
        widths = self._widths(width)
        seen = self._rows[self._first : self._first + self._room]
        right = {at for row in self._rows[:1] for at, cell in enumerate(row) if cell.right}
        head = [Cell(title, at in right, "head") for at, title in enumerate(self._columns)]
        lines = [self._line(head, widths, width)]
        for y, row in enumerate(seen, self._first):
            over = "" if y != self.row else "cursor" if self.has_focus else "held"
            lines.append(self._line(row, widths, width, over))
        if not self._rows and self._room and self.hint:
            lines.append(self._line([Cell(self.hint, style="muted")], [width], width))
        if longer:
            lines = [Strip([*line, self._bar(y - 1)], self.size.width) for y, line in enumerate(lines)]
        self.draw(lines)

    def _widths(self, width: int) -> list[int]:
        """Of the columns: as their longest text wants, or less for those that yield."""
        if not self._columns:
            return []
        columns = zip(self._columns, *([cell.text for cell in row] for row in self._rows), strict=True)
        widths = [max(map(cell_len, texts)) for texts in columns]
        for at in self.YIELDING:
            lacking = max(0, sum(widths) + (len(widths) - 1) * len(GAP) - width)
            widths[at] = max(0, widths[at] - lacking)
        return widths

    def _line(self, row: Cells, widths: Sequence[int], width: int, over: str = "") -> Strip:
        segments = []
        above = self.style_of(f"table--{over}") if over else None
        for at, (cell, room) in enumerate(zip(row, widths, strict=True)):
            text = cell.text.translate(UNPRINTABLE) if cell.share is None else bar(cell.share, room)
            if cell.right:
                text = " " * (room - cell_len(text)) + text
            style = self.style_of(f"table--{cell.style}")
            piece = cut(text, room) + (GAP if at < len(widths) - 1 else "")
            segments.append(Segment(piece, style if above is None else style + above))
        plain = self.style_of("table--text")
        return Strip(segments).adjust_cell_length(width, plain if above is None else plain + above)

    def _bar(self, y: int) -> Segment:
        """Beside line `y` of the rows: where in the table what is seen lies."""
        count, room = len(self._rows), self._room
        begin = round(self._first / count * room)
        end = max(begin + 1, round((self._first + room) / count * room))
        return Segment(THUMB if begin <= y < end else TRACK, self.style_of("table--bar"))


def bar(share: float, room: int) -> str:
    """A bar that lies, in halves of a cell."""
    halves = round(min(max(share, 0.0), 1.0) * room * 2)
    return "━" * (halves // 2) + "╸" * (halves % 2)


def cut(text: str, room: int) -> str:
    """A text in so many cells; one that is longer ends with an ellipsis."""
    if cell_len(text) <= room or not room:
        return set_cell_size(text, room)
    return set_cell_size(text, room - 1) + ELLIPSIS


class StepTable(Table):
    """A table about the decision under the cursor of the timeline."""

    ABOUT = frozenset({"takes", "view"})
    SLOWLY = frozenset({CURSOR})

    def __init__(self, view: View, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self.view = view

    @property
    def hint(self) -> str:
        return "" if self.view.take else "Speak, and here stands why each token was chosen."

    def table(self) -> tuple[Sequence[str], Sequence[Cells]]:
        """Titles and rows."""
        return (), ()

    def paint(self) -> None:
        self.fill(*self.table())
        self.say(self.view.step_words)
