"""Whoever wants to see more of a running take than its Steps: the lab, where somebody looks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from valle.decoding.decide import Situation
    from valle.step import Step


class Onlooker(Protocol):
    """Sees what a decision was made from; changes nothing of it."""

    def decided(self, step: Step, situation: Situation) -> None:
        """Told of every step right after it was decided; what the situation holds may be kept."""
