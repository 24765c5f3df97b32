"""Whoever wants to see more of a running take than its Steps: the lab, where somebody looks."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from valle.decoding.decide import Situation
    from valle.decoding.resumed import Branches
    from valle.models.arch.observer import Observer
    from valle.models.layout import Layout
    from valle.step import Place, Step


class Onlooker(Protocol):
    """Sees what a decision was made from; changes nothing of what comes of it."""

    def decided(self, step: Step, situation: Situation) -> None:
        """Told of every step right after it was decided; what the situation holds may be kept."""

    def begins(self, place: Place, branches: Branches) -> Branches:
        """Told of what answers a phase that is written id by id, before its first pass.

        It may keep hold of it, and give what answers the same, bit for bit, from passes that it has kept.
        """

    def observer(self, place: Place, layout: Callable[[], Layout]) -> Observer | None:
        """Who watches the pass that an autoregressive decision is made from, if anybody.

        `layout` is that of the row before the first pass of its phase.
        """
