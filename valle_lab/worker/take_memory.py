"""What the worker keeps of one take so that it can be looked at: what each step was decided from."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass, replace
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from valle.fork import Fork
from valle.request import Codes, Request
from valle.step import Floats, Integers, Place, Step

if TYPE_CHECKING:
    from valle.decoding.branches import Passes
    from valle.decoding.decide import Situation
    from valle.decoding.forced import RawRows
    from valle.decoding.resumed import Branches, Resumed, Rewindable
    from valle.models.arch.observer import Observer
    from valle.models.attention_maps import AttentionTrack
    from valle.models.layout import Layout

OBJECTS = 4_000
"""Bytes of the tensors, arrays and records of one decision besides their numbers, as measured."""
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
    def passes(self) -> Passes:
        """What its passes answered, where they were of one row."""
        from valle.decoding.branches import Passes

        rows = self.situation.rows
        return Passes(self.situation.logits, rows.null, rows.attention)

    def made(self, step: Step) -> bool:
        """Whether it is this decision."""
        return bool(np.array_equal(self.tokens, step.tokens))

    @property
    def size(self) -> int:
        """Bytes of its logits and of the states of its stages, and what its objects take besides."""
        situation = self.situation
        tensors = [situation.logits, *_tensors(situation.states)]
        if situation.rows.null is not None:
            tensors.append(situation.rows.null)
        return OBJECTS + sum(int(tensor.nbytes) for tensor in tensors)


class TakeMemory:
    """What is kept of one take; an onlooker of its generation."""

    def __init__(
        self,
        request: Request,
        full: Callable[[], None],
        watched: Callable[[], bool],
        remade: bool = False,
        resumed: Mapping[tuple[int, str], Resumed] | None = None,
    ) -> None:
        """`full` is called whenever more is kept, `watched` tells whether attention is looked at, `resumed`
        are passes that the take has in common with another one, by segment and phase."""
        self.request = request
        self.steps: dict[Place, Kept] = {}
        self.newest: Kept | None = None
        self.branches: dict[tuple[int, str], Rewindable] = {}
        """What answered each phase that was written id by id, at its end."""
        self.track: tuple[int, AttentionTrack] | None = None
        """A segment, and its attention so far."""
        self.passes: dict[int, RawRows] = {}
        """What the decisions of a segment were made from, where one pass has made it again."""
        self._written: dict[int, list[int]] = {}
        """The ids of level 0 by segment, also of steps that the budget has no room for."""
        self._full = full
        self._watched = watched
        self._remade = remade
        self._resumed = dict(resumed or {})
        self._size = 0

    @property
    def size(self) -> int:
        """Bytes of all that is kept."""
        return self._size + sum(branches.memory for branches in self.branches.values())

    def begins(self, place: Place, branches: Branches) -> Branches:
        """Keep hold of what answers a phase; where another take has begun in the same way, its passes."""
        key = (place.segment, place.phase)
        answering = self._resumed.pop(key, None) or branches
        if hasattr(answering, "after"):
            self.branches[key] = cast("Rewindable", answering)
        return answering

    def resumed(self, fork: Fork) -> dict[tuple[int, str], Resumed]:
        """The phases, as far as a fork has them in common with this take, whose passes are all kept."""
        if not same_passes(self.request, fork.request):
            return {}
        phases: dict[tuple[int, str], list[Step]] = {}
        for step in fork.past:
            if len(step.tokens) and step.place.phase not in MANY_AT_ONCE:
                phases.setdefault((step.place.segment, step.place.phase), []).append(step)
        found = {}
        for key, steps in phases.items():
            kept = [self.steps.get(step.place) for step in steps]
            passes = [item.passes for item, step in zip(kept, steps, strict=True) if item and item.made(step)]
            goes_on = key == (fork.place.segment, fork.place.phase)
            branches = self.branches[key].after(len(steps) - 1) if goes_on and key in self.branches else None
            if len(passes) == len(steps) and (branches is not None or not goes_on):
                found[key] = _resumed(passes, branches)
        return found

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
        self._size += kept.size
        self._full()
        if step.place.phase == "ar" and len(step.tokens) == 1:
            self._written.setdefault(step.place.segment, []).append(int(step.tokens[0]))

    def being_written(self, segment: int) -> Codes | None:
        """The codes that the latest decision of a segment was made from, while it is being written.

        Whoever asks about a running take is some steps behind.
        """
        newest = None if self.newest is None else self.newest.place
        if newest is None or newest.phase != "ar" or newest.segment != segment:
            return None
        written = self._written.get(segment, [])
        return np.array(written[:-1], np.int16) if len(written) == newest.step + 1 else None

    def observer(self, place: Place, layout: Callable[[], Layout]) -> Observer | None:
        """Watch the attention of a segment from its first step on, or from where a track is complete."""
        if not self._watched():
            return None
        if place.step == 0:
            from valle.models.attention_maps import AttentionTrack

            self.track = (place.segment, AttentionTrack(layout()))
        if self.track is None or self.track[0] != place.segment or len(self.track[1]) != place.step:
            return None
        return self.track[1]

    def keep_pass(self, segment: int, rows: RawRows) -> None:
        """Keep what one pass has made again of a segment."""
        self._drop_pass(segment)
        self.passes[segment] = rows
        self._size += rows.size
        self._full()

    def _drop_pass(self, segment: int) -> None:
        if (rows := self.passes.pop(segment, None)) is not None:
            self._size -= rows.size

    def drop_passes(self) -> None:
        """Forget what is large: the steps that decided many positions each, and the attention."""
        for place in [place for place in self.steps if place.phase in MANY_AT_ONCE]:
            self.forget(place)
        self.track = None
        if self.newest is not None and self.newest.place.phase in MANY_AT_ONCE:
            self.newest = None

    def forget(self, place: Place) -> None:
        """Forget one step."""
        self._size -= self.steps.pop(place).size


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


def _resumed(passes: Sequence[Passes], branches: Branches | None) -> Resumed:
    from valle.decoding.resumed import Resumed

    return Resumed(passes, branches)


def same_passes(one: Request, other: Request) -> bool:
    """Whether the same tokens after the same changes give the same logits, to the last bit."""
    from valle_lab.worker.bodies import request_to_body

    (ours, codes), (theirs, other_codes) = (
        request_to_body(replace(request, take="", seed=0)) for request in (one, other)
    )
    same = codes.keys() == other_codes.keys()
    return ours == theirs and same and all(np.array_equal(codes[name], other_codes[name]) for name in codes)


def _tensors(value: Any) -> Iterator[Any]:
    """The tensors of the states of all stages."""
    for state in value.values():
        if is_dataclass(state):
            for field in fields(state):
                part = getattr(state, field.name)
                if hasattr(part, "nbytes"):
                    yield part
