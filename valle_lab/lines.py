"""What every view in words is made of: lines, as wide as there is room, and tables."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

Lines = list[str]
WIDTH = 80


@dataclass(frozen=True, slots=True)
class Words:
    """A view that knows how it looks in so many columns."""

    lines: Callable[[int], Lines]


def table(rows: Iterable[Sequence[object]]) -> Lines:
    """Rows in columns as wide as their widest cell; numbers to the right."""
    cells = [[" ".join(_cell(value).split()) for value in row] for row in rows]
    if not cells:
        return []
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    right = [all(_is_number(cell) for cell in column[1:]) for column in zip(*cells, strict=True)]
    return [
        "  ".join(
            cell.rjust(size) if to_right else cell.ljust(size)
            for cell, size, to_right in zip(row, widths, right, strict=True)
        ).rstrip()
        for row in cells
    ]


def mean(values: np.ndarray[Any, Any]) -> float:
    """The mean, NaN of nothing."""
    return float(values.mean()) if len(values) else float("nan")


def _cell(value: object) -> str:
    if isinstance(value, (list, tuple)):
        return " ".join(map(str, value))
    return "-" if value is None else str(value)


def _is_number(cell: str) -> bool:
    return cell.replace(".", "", 1).replace("-", "", 1).isdecimal() or cell in ("", "inf", "-inf", "nan")
