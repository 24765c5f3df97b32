"""What commands print: results on stdout, narration on stderr, a progress line where somebody looks."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Sequence
from time import monotonic
from typing import Any, TextIO

PROGRESS_SECONDS = 0.1


def narrate(message: str) -> None:
    """Say on stderr what is happening."""
    print(message, file=sys.stderr)


def print_json(document: Any) -> None:
    """Print one JSON document on stdout."""
    print(json.dumps(document, indent=2, ensure_ascii=False, allow_nan=False))


def print_table(rows: Iterable[Sequence[str]]) -> None:
    """Print rows in columns as wide as their widest cell."""
    table = [[" ".join(cell.split()) for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    for row in table:
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


class ProgressLine:
    """One line on stderr that is written over; silent where stderr is no terminal."""

    def __init__(self, stream: TextIO | None = None) -> None:
        self._stream = stream or sys.stderr
        self._visible = self._stream.isatty()
        self._next = 0.0
        self._shown = False

    def show(self, text: str) -> None:
        """Replace the line, at most ten times a second."""
        if self._visible and monotonic() >= self._next:
            self._next = monotonic() + PROGRESS_SECONDS
            self._shown = True
            self._stream.write(f"\r\x1b[K{text}")
            self._stream.flush()

    def put(self, text: str) -> None:
        """Replace the line, or take it away where there is no text."""
        if text:
            self.show(text)
        else:
            self.clear()

    def clear(self) -> None:
        """Take the line away, so that what follows begins on an empty one."""
        if self._shown:
            self._shown = False
            self._stream.write("\r\x1b[K")
            self._stream.flush()
