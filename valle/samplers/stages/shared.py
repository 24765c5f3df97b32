"""What several declarations have in common: where stages make no sense, and kinds of parameters."""

from __future__ import annotations

from typing import Any

from valle.samplers.declaration import Parameter

WITHOUT_A_PAST = {"nar": "a level is decided in one pass, so a position has no past of its own codebook"}
"""Refusals of stages that look at ids of the past, in whatever order these were decided."""

WITHOUT_NEIGHBOURS = {
    **WITHOUT_A_PAST,
    "nar_len": "positions are decided out of order, so the ids before one are not yet its neighbours",
}
"""Refusals of stages that look at sequences of the past."""

WITHOUT_A_STOP = dict.fromkeys(
    ("nar", "nar_len"), "there is no stop token: the number of frames is known before the phase begins"
)
"""Refusals of stages about the stop token."""

HIGHEST_ID = 2**31 - 1
LONGEST = 100_000
"""The most steps, and the most ids, that a parameter counts."""


def ids(name: str, help: str, neutral: Any = None) -> Parameter:
    """A list of ids, empty unless told otherwise."""
    return Parameter(
        name, "ids", (), help, minimum=0, maximum=HIGHEST_ID, neutral=neutral, fixed=True, unit="ids"
    )


def an_id(name: str, help: str, default: int) -> Parameter:
    """One id, which does nothing at its default."""
    return Parameter(
        name,
        "integer",
        default,
        help,
        minimum=0,
        maximum=HIGHEST_ID,
        step=1,
        neutral=default,
        fixed=True,
        unit="id",
    )


def steps(name: str, help: str, default: int, neutral: Any = None, source: str = "") -> Parameter:
    """A number of steps."""
    return Parameter(
        name,
        "integer",
        default,
        help,
        minimum=0,
        maximum=LONGEST,
        step=1,
        neutral=neutral,
        unit="steps",
        source=source,
    )
