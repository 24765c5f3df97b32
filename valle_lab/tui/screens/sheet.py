"""The sheet of seeds: takes of one text made at once, heard one by one, kept or dropped by a key."""

from __future__ import annotations

from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.content import Content
from textual.widgets import Static

from valle_lab.lab import Lab
from valle_lab.lab.sheet import ORDERS, SheetRow
from valle_lab.tui.screens.following import FollowingScreen
from valle_lab.tui.tables import Cell, Table, number

COLUMNS = ("", "no", "", "seed", "take", "stop", "sec")
CHECKS = ("stop", "pace", "silence", "run", "start")
HEARD, KEPT, DROPPED, FAILED = "▶", "✓", "✗", "▲"


class SheetTable(Table, inherit_bindings=False):
    """The rows; letters are for judging here, so that only the arrows move the cursor."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("up", "row(-1)", show=False, id="sheet.up", tooltip="The row above"),
        Binding("down", "row(1)", show=False, id="sheet.down", tooltip="The row below"),
        Binding("home", "edge(0)", show=False, id="sheet.first", tooltip="The first row"),
        Binding("end", "edge(1)", show=False, id="sheet.last", tooltip="The last row"),
        Binding("enter", "choose", "Hear", id="sheet.enter", tooltip="Hear the row under the cursor"),
    ]


class SheetScreen(FollowingScreen):
    """Rows in the order of their signs of failure."""

    HELP = (
        "## Seed sheet\n\nTakes of one text that were made at once, a seed each. When all are made they are "
        "sorted by signs of failure: how it ended, frames a phoneme, the longest silence, the longest run of "
        "one code, a start without a voice that has not settled; `▲` marks what is beyond its limit. Enter "
        "hears the row under the cursor, `n` the next one, `b` the one before, `r` the same again; `k` keeps "
        "it and `d` drops it, and goes on to the next. `o` sorts by something else, `q` breaks off what is "
        "still being made. Escape goes back; what was dropped stays in the session."
    )
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("n", "do('sheet.next')", "Next", id="sheet.next_row", tooltip="Hear the next row"),
        Binding("b", "do('sheet.back')", "Before", id="sheet.row_before", tooltip="Hear the row before"),
        Binding("r", "do('sheet.hear')", "Again", id="sheet.again", tooltip="Hear the same row again"),
        Binding("k", "judge('sheet.keep')", "Keep", id="sheet.keep_row", tooltip="Keep it, hear the next"),
        Binding("d", "judge('sheet.drop')", "Drop", id="sheet.drop_row", tooltip="Drop it, hear the next"),
        Binding("o", "order", "Order", id="sheet.order", tooltip="Sort by something else"),
        Binding("q", "do('sheet.stop')", show=False, id="sheet.end", tooltip="Break off what is being made"),
        Binding("escape", "dismiss", "Close", id="sheet.close", tooltip="Back to the lab"),
    ]

    def __init__(self, lab: Lab) -> None:
        super().__init__(lab)
        self._heard = ""
        """The take that was heard last: the cursor goes there when it is another one."""

    def body(self) -> ComposeResult:
        yield Static("", id="sheet-title", markup=False)
        yield SheetTable(id="sheet-rows")

    def show(self) -> None:
        sheet = self.lab.sheet
        if sheet is None:
            return
        view = sheet.view()
        told = f"sorted by {view.order}" if view.over else f"{sum(not row.doing for row in view.rows)} made"
        title = Content.assemble((f"{len(view.rows)} takes, {told}: ", "dim"), view.text)
        self.query_one("#sheet-title", Static).update(title)
        heard = next((at for at, row in enumerate(view.rows) if row.heard), None)
        table = self.query_one(SheetTable)
        moved = heard is not None and view.rows[heard].take != self._heard
        self._heard = view.rows[heard].take if heard is not None else ""
        table.fill((*COLUMNS, *CHECKS[1:]), [_cells(row) for row in view.rows], heard if moved else None)

    def action_judge(self, command: str) -> None:
        """Judge the row under the cursor; where that is the one that was heard, go on to the next."""
        sheet = self.lab.sheet
        row = self.query_one(SheetTable).row
        if sheet is None:
            return
        if sheet.sorted[row] is sheet.heard:
            self.do(command)
        else:
            self.do(command, str(row + 1))

    def action_order(self) -> None:
        sheet = self.lab.sheet
        if sheet is not None:
            self.do("sheet.sort", ORDERS[(ORDERS.index(sheet.order) + 1) % len(ORDERS)])

    @on(Table.Chosen)
    def _hear(self, event: Table.Chosen) -> None:
        self.do("sheet.hear", str(event.row + 1))


def _cells(row: SheetRow) -> list[Cell]:
    style = "muted" if row.dropped else "strong" if row.kept else "text"
    found = {check.name: check for check in row.checks}
    told = [
        number(f"{check.told}{FAILED if check.failed else ' '}" if (check := found.get(name)) else "", style)
        for name in CHECKS[1:]
    ]
    return [
        Cell(HEARD if row.heard else "", style=style),
        number(str(row.number), style),
        Cell(KEPT if row.kept else DROPPED if row.dropped else "", style=style),
        number(str(row.seed), style),
        Cell(row.take, style=style),
        Cell(row.doing or row.stop, style=style),
        number(f"{row.seconds:.2f}", style),
        *told,
    ]
