"""An adapter as a take names it: which one, and how strong; needs no torch."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

from valle.errors import UserError

STRONGEST = 10.0
"""Negative strengths lead away from what an adapter has learnt."""


@dataclass(frozen=True, slots=True)
class AdapterUse:
    """An adapter by name and content, and its strength: 1 as it was trained, 0 off. UserError for others."""

    name: str
    sha256: str
    strength: float = 1.0

    def __post_init__(self) -> None:
        check_strength(self.name, self.strength)


def check_strength(name: str, strength: Any) -> float:
    """The strength as a number; UserError unless it is one from -10 to 10."""
    wrong = isinstance(strength, bool) or not isinstance(strength, int | float)
    if wrong or not math.isfinite(strength) or abs(strength) > STRONGEST:
        raise UserError(
            f"The strength of the adapter {name} must be a number from {-STRONGEST:g} to {STRONGEST:g}, not "
            f"{strength!r}."
        )
    return float(strength)


def strengthened(uses: tuple[AdapterUse, ...], name: str, strength: Any) -> tuple[AdapterUse, ...]:
    """The adapters with another strength of one of them. UserError for a name that is not among them."""
    if all(use.name != name for use in uses):
        there = ", ".join(use.name for use in uses) or "none"
        raise UserError(f"There is no adapter {name!r} loaded; there is {there}.")
    value = check_strength(name, strength)
    return tuple(replace(use, strength=value) if use.name == name else use for use in uses)
