"""Decisions as a person writes them: `40`, `1/40`, `nar.3:0`, `1/ar.0:40`."""

from __future__ import annotations

import re

from valle.errors import UserError
from valle.samplers.declaration import PHASES
from valle.step import Place
from valle_lab.lab.state import LabTake

_PLACE = re.compile(
    r"(?:(?P<segment>[0-9]{1,6})/)?(?:(?P<phase>[a-z_]+)(?:\.(?P<level>[0-9]{1,2}))?:)?(?P<step>[0-9]{1,9})"
)


def parse_place(text: str, deciding: str = "ar") -> Place:
    """`[SEGMENT/][PHASE[.LEVEL]:]STEP` as a place; without a phase a step of the deciding one, without a
    segment of the first. Raises UserError."""
    match = _PLACE.fullmatch(text.strip())
    if match is None or (phase := match["phase"] or deciding) not in PHASES:
        raise UserError(f"The step {text[:40]!r} must look like 40, 1/40 or nar.3:0.")
    level = int(match["level"] or (phase == "nar"))
    return Place(int(match["segment"] or 0), phase, level, int(match["step"]))


def place_or_cursor(take: LabTake, row: int | None, text: str | None) -> Place:
    """The step that is named; else the one under the cursor, else the last one of level 0.

    Raises UserError where the take has no such step.
    """
    if text is not None:
        return parse_place(text, take.deciding)
    if not len(take.timeline):
        raise UserError(f"{take.name} has no steps yet.")
    return take.timeline.place(len(take.timeline) - 1 if row is None else row)
