"""How often one thing won against another in blind trials, and how sure that is."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any

QUANTILE = 1.959963984540054
"""Of the normal distribution, for intervals of 95 %."""


@dataclass(frozen=True, slots=True)
class Contest:
    """Two things that were set against each other, the one that won more often first."""

    one: str
    other: str
    wins: int
    losses: int
    ties: int
    """Trials in which no difference was heard; they count for neither."""

    @property
    def share(self) -> float | None:
        """Of the trials that were decided those that `one` won; None where none was."""
        decided = self.wins + self.losses
        return self.wins / decided if decided else None

    @property
    def interval(self) -> tuple[float, float]:
        """Where the share would lie with ever more trials, with 95 % confidence (Wilson's score interval)."""
        return wilson(self.wins, self.wins + self.losses)

    def to_dict(self) -> dict[str, Any]:
        """The same in JSON's types."""
        return {**asdict(self), "share": self.share, "interval": list(self.interval)}


def wilson(wins: int, trials: int, quantile: float = QUANTILE) -> tuple[float, float]:
    """Wilson's score interval of a share (J. Am. Stat. Assoc. 22, 1927); of no trials all from 0 to 1."""
    if not trials:
        return 0.0, 1.0
    share, square = wins / trials, quantile * quantile
    middle = share + square / (2 * trials)
    spread = quantile * math.sqrt(share * (1 - share) / trials + square / (4 * trials * trials))
    scale = 1 + square / trials
    return max(0.0, (middle - spread) / scale), min(1.0, (middle + spread) / scale)
