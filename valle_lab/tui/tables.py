"""Tables that are painted often: cells that stay as they are cost nothing."""

from __future__ import annotations

from collections.abc import Sequence

from rich.text import Text
from textual.widgets import DataTable

Table = DataTable[Text]
Cells = Sequence[Text]


def fill(table: Table, columns: Sequence[str], rows: Sequence[Cells]) -> None:
    """Show these rows under these columns."""
    if [column.key.value for column in table.ordered_columns] != list(columns):
        table.clear(columns=True)
        for column in columns:
            table.add_column(Text(f" {column}"), key=column)
    if len(rows) != table.row_count:
        cursor = table.cursor_row
        table.clear()
        for row in rows:
            table.add_row(*row)
        table.move_cursor(row=min(cursor, len(rows) - 1))
        return
    for y, row in enumerate(rows):
        for x, cell in enumerate(row):
            if table.get_cell_at((y, x)) != cell:  # type: ignore[arg-type]
                table.update_cell_at((y, x), cell, update_width=True)  # type: ignore[arg-type]


def as_text(table: Table) -> str:
    """The whole table with tabs between its columns, to be pasted into a spreadsheet."""
    rows = [[column.label.plain for column in table.ordered_columns]]
    rows += [[cell.plain for cell in table.get_row_at(y)] for y in range(table.row_count)]
    return "\n".join("\t".join(cell.strip() for cell in row) for row in rows)


def number(text: str, style: str = "") -> Text:
    """A cell at the right of its column."""
    return Text(f" {text}", style=style, justify="right")
