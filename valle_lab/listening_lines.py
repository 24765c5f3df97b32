"""Sheets and trials as lines of plain text."""

from __future__ import annotations

from valle_lab.lab.sheet import SheetRow, SheetView

CHECKS = ("stop", "pace", "silence", "run", "start")
Row = tuple[object, ...]


def sheet_rows(view: SheetView) -> list[Row]:
    """A table: what each row of a sheet came to, what failed marked with `!`, and what was said of it."""
    head: Row = ("", "take", "seed", "seconds", "ends", *CHECKS[1:], "")
    return [head, *(_row(row) for row in view.rows)]


def _row(row: SheetRow) -> Row:
    found = {check.name: f"{check.told}{'!' * check.failed}" for check in row.checks}
    said = ", ".join(
        word for word, true in (("heard", row.heard), ("kept", row.kept), ("dropped", row.dropped)) if true
    )
    ends = row.doing or found.get("stop", row.stop)
    return (
        row.number,
        row.take,
        row.seed,
        f"{row.seconds:.2f}",
        ends,
        *(found.get(name, "-") for name in CHECKS[1:]),
        said,
    )
