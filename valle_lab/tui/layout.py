"""Which layout fits a terminal, and which keys lead to its panes. No Textual."""

from __future__ import annotations

from typing import Literal

Layout = Literal["-too-small", "-narrow", "-medium", "-wide"]
LAYOUTS: tuple[Layout, ...] = ("-too-small", "-narrow", "-medium", "-wide")
LEAST_WIDTH, LEAST_HEIGHT = 60, 18
MEDIUM_WIDTH, MEDIUM_HEIGHT = 110, 32
WIDE_WIDTH, WIDE_HEIGHT = 160, 40

PANES = {"asking": "F3", "stack": "F4", "timeline": "F5", "step": "F6", "takes": "F7"}
"""Panes of the main screen, and the key that goes to each."""
DECK = ("stack", "step", "takes")
"""Of these only one is seen in the narrow layout."""


def layout_for(width: int, height: int) -> Layout:
    """The layout for so many cells."""
    if width < LEAST_WIDTH or height < LEAST_HEIGHT:
        return "-too-small"
    if width >= WIDE_WIDTH and height >= WIDE_HEIGHT:
        return "-wide"
    return "-medium" if width >= MEDIUM_WIDTH and height >= MEDIUM_HEIGHT else "-narrow"
