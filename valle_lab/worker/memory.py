"""What the worker keeps of its takes so that they can be looked at: what each step was decided from.

Of the autoregressive phases every step of every take is kept, of the others those of the latest take. All of
it can be made again, so there is a budget: the take that was looked at longest ago is forgotten first.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields, is_dataclass, replace
from typing import TYPE_CHECKING, Any

from valle.step import Floats, Integers, Place, Step

if TYPE_CHECKING:
    from valle.decoding.decide import Situation
    from valle.decoding.forced import RawRows
    from valle.models.arch.observer import Observer
    from valle.models.attention_maps import AttentionTrack
    from valle.models.layout import Layout

GIGABYTE = 10**9
MANY_AT_ONCE = ("nar", "nar_len")
"""Phases whose steps decide every frame, and are kept of one take alone."""


@dataclass(frozen=True, slots=True)
class Kept:
    """One decision: what it was made from, and what it was."""

    place: Place
    situation: Situation
    tokens: Integers
    choices: Integers
    runner_up: Integers
    margin: Floats
    log_probability: Floats
    remade: bool = False

    @property
    def size(self) -> int:
        """Bytes of its logits and of the states of its stages."""
        situation = self.situation
        tensors = [situation.logits, *_tensors(situation.states)]
        if situation.rows.null is not None:
            tensors.append(situation.rows.null)
        return sum(int(tensor.nbytes) for tensor in tensors)


class TakeMemory:
    """What is kept of one take; an onlooker of its generation."""

    def __init__(self, full: Callable[[], None], remade: bool = False) -> None:
        self.steps: dict[Place, Kept] = {}
        self.newest: Kept | None = None
        self.size = 0
        self.track: tuple[int, AttentionTrack] | None = None
        """A segment, and its attention so far."""
        self.passes: dict[int, RawRows] = {}
        """What the decisions of a segment were made from, where one pass has made it again."""
        self.watched_until = 0.0
        self._full = full
        self._remade = remade

    def decided(self, step: Step, situation: Situation) -> None:
        """Keep a step; whoever watches the budget is told."""
        kept = Kept(
            step.place,
            situation,
            step.tokens,
            step.choices,
            step.runner_up,
            step.margin,
            step.log_probability,
            self._remade,
        )
        self.newest = self.steps[step.place] = kept
        self.size += kept.size
        self._full()

    def observer(self, place: Place, layout: Callable[[], Layout]) -> Observer | None:
        """Watch the attention of a segment from its first step on, or from where a track is complete."""
        if not self.watched:
            return None
        if place.step == 0:
            from valle.models.attention_maps import AttentionTrack

            self.track = (place.segment, AttentionTrack(layout()))
        if self.track is None or self.track[0] != place.segment or len(self.track[1]) != place.step:
            return None
        return self.track[1]

    @property
    def watched(self) -> bool:
        """Whether somebody has asked for attention lately."""
        return time.monotonic() < self.watched_until

    def keep_pass(self, segment: int, rows: RawRows) -> None:
        """Keep what one pass has made again of a segment."""
        self._drop_pass(segment)
        self.passes[segment] = rows
        self.size += rows.size
        self._full()

    def _drop_pass(self, segment: int) -> None:
        if (rows := self.passes.pop(segment, None)) is not None:
            self.size -= rows.size

    def drop_passes(self) -> None:
        """Forget what is large: the steps that decided many positions each, and the attention."""
        for place in [place for place in self.steps if place.phase in MANY_AT_ONCE]:
            self.forget(place)
        self.track = None
        if self.newest is not None and self.newest.place.phase in MANY_AT_ONCE:
            self.newest = None

    def forget(self, place: Place) -> None:
        """Forget one step."""
        self.size -= self.steps.pop(place).size


class Memory:
    """The takes that are remembered, the one looked at last at the end."""

    def __init__(self, budget: float = 0.0) -> None:
        """`budget` is in GB; at 0 only the newest step of the latest take is kept."""
        self.budget = budget
        self._takes: OrderedDict[str, TakeMemory] = OrderedDict()
        self._latest = ""

    @property
    def size(self) -> int:
        """Bytes of all takes."""
        return sum(take.size for take in self._takes.values())

    def begin(self, take: str, remade: bool = False) -> TakeMemory:
        """The memory of a take that is about to be made."""
        for other in self._takes.values():
            other.drop_passes()
        self._latest = take
        memory = self._takes[take] = TakeMemory(self._keep_to_budget, remade)
        self._takes.move_to_end(take)
        return memory

    def find(self, take: str, place: Place | None) -> Kept | None:
        """What is kept of a step, None where it was forgotten; without a place the newest."""
        memory = self._takes.get(take)
        if memory is None:
            return None
        self._takes.move_to_end(take)
        return memory.newest if place is None else memory.steps.get(place)

    def take(self, name: str) -> TakeMemory | None:
        """What is kept of a take."""
        return self._takes.get(name)

    def clear(self) -> None:
        """Forget everything, as what another model made."""
        self._takes.clear()

    def _keep_to_budget(self) -> None:
        """Forget other takes than the latest, and then its first steps."""
        limit = self.budget * GIGABYTE
        excess = self.size - limit
        for take in [take for take in self._takes if take != self._latest]:
            if excess <= 0:
                return
            excess -= self._takes.pop(take).size
        latest = self._takes[self._latest]
        while latest.size > limit and len(latest.steps) > 1:
            latest.forget(next(iter(latest.steps)))


def completed(kept: Kept, memory: TakeMemory) -> Kept:
    """A decision of level 0 with what the pass that was made again has of it, where it was made without: the
    null pass and the attention."""
    rows, place = kept.situation.rows, kept.place
    again = memory.passes.get(place.segment)
    if again is None or place.phase != "ar" or place.step >= len(again.logits):
        return kept
    found = again.row(place.step)
    whole = replace(
        rows,
        null=found.null if rows.null is None else rows.null,
        attention=found.attention if rows.attention is None else rows.attention,
    )
    return replace(kept, situation=replace(kept.situation, rows=whole), remade=True)


def _tensors(value: Any) -> Iterator[Any]:
    """The tensors of the states of all stages."""
    for state in value.values():
        if is_dataclass(state):
            for field in fields(state):
                part = getattr(state, field.name)
                if hasattr(part, "nbytes"):
                    yield part
