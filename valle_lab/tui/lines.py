"""Lines of cells with a style each, made into the strips that Textual's line API wants."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from rich.segment import Segment
from rich.style import Style
from textual.strip import Strip


@dataclass(frozen=True, slots=True)
class Line:
    """A label at the left, and cells."""

    gutter: str
    cells: str
    styles: str | Sequence[str]
    """The component class of the whole line, or of every cell."""


def to_strip(
    line: Line, gutter: int, label: str, style_of: Callable[..., Style], over: dict[int, str] | None = None
) -> Strip:
    """The line as a strip; `over` lays a component class over single cells, such as that of a cursor."""
    segments = [Segment(f"{line.gutter:<{gutter}}"[:gutter], style_of(label))]
    marks = sorted((over or {}).items())
    for text, name, begin in _runs(line):
        style, at = style_of(name), 0
        for cell, mark in marks:
            if begin <= cell < begin + len(text):
                here = cell - begin
                segments += [
                    Segment(text[at:here], style),
                    Segment(text[here], style + style_of(mark)),
                ]
                at = here + 1
        segments.append(Segment(text[at:], style))
    return Strip([segment for segment in segments if segment.text], gutter + len(line.cells))


def _runs(line: Line) -> list[tuple[str, str, int]]:
    """Stretches of equal style: text, component class, first cell."""
    if isinstance(line.styles, str):
        return [(line.cells, line.styles, 0)]
    starts = [at for at, name in enumerate(line.styles) if not at or line.styles[at - 1] != name]
    ends = [*starts[1:], len(line.cells)]
    return [(line.cells[a:b], line.styles[a], a) for a, b in zip(starts, ends, strict=True)]
