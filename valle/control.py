"""Changes to a take while it is made: the same path for a person's hands, a schedule and a replay."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal, Protocol, get_args

import numpy as np
from numpy.typing import NDArray

from valle.errors import UserError
from valle.step import Alternative, Evidence, Floats, Integers, Place

EventKind = Literal[
    "set", "add", "remove", "move", "switch", "replace", "force", "adapter", "finish", "cancel"
]


@dataclass(frozen=True, slots=True)
class Event:
    """One change, and where it takes effect: before the decision at `place`.

    `name` is a parameter (`nar.3:top_k.k`) or a stage (`nar:top_p#2`); `value` depends on the kind: the
    parameter's value, a stage as a dict, an index to move to, on or off, a whole stack as a dict, the forced
    token.
    """

    kind: EventKind
    name: str = ""
    value: Any = None
    place: Place | None = None

    def __post_init__(self) -> None:
        if self.kind not in get_args(EventKind):
            raise UserError(f"Unknown kind of event {self.kind!r}; known: {', '.join(get_args(EventKind))}.")


@dataclass(frozen=True, slots=True)
class Guide:
    """Recorded tokens for one decision, with what the judge needs where the stack now chooses otherwise."""

    tokens: Integers
    evidence: Evidence | None = None
    null_evidence: Evidence | None = None
    tolerance: float = 0.0
    """Absolute, in nats; how far a logit may move between machines. At 0 nobody asks what is within reach."""
    hypothesis: int = 0
    """Which hypothesis of a search was recorded."""
    search_again: bool = True
    """Whether a search is made again and its winner compared; else the recorded one is only checked."""
    others: tuple[Alternative, ...] = ()
    """What else a search had found that ended with this decision."""
    masked: NDArray[np.bool_] | None = None
    """Which positions of a round of `nar_len` were decided anew when it was recorded."""
    relative: float = 0.0
    """As a share of the logit; it may move that far where this is more than `tolerance`."""

    def moves(self, logits: Floats) -> Floats:
        """How far each of these logits may move, in nats."""
        return np.maximum(self.tolerance, self.relative * np.abs(logits))

    @property
    def farthest(self) -> float:
        """How far the logit of a recorded token may move at most, in nats."""
        return self.tolerance if self.evidence is None else float(self.moves(self.evidence.chosen).max())


class Control(Protocol):
    """What the loop asks before every decision."""

    def events(self, place: Place) -> tuple[Event, ...]:
        """The changes that take effect before the decision at this place."""

    def guide(self, place: Place) -> Guide | None:
        """Recorded tokens to feed on instead of the stack's choice, or None to let the stack decide."""

    def refuse(self, event: Event, reason: str) -> None:
        """Told of an event that could not be applied; the take goes on without it."""


class NoControl:
    """Nothing changes."""

    def events(self, place: Place) -> tuple[Event, ...]:
        return ()

    def guide(self, place: Place) -> Guide | None:
        return None

    def refuse(self, event: Event, reason: str) -> None:
        raise UserError(reason)


class ScheduledControl(NoControl):
    """Changes that are known beforehand: `say --at`, and the recorded events of a session."""

    def __init__(self, events: Iterable[Event], guides: Mapping[Place, Guide] | None = None) -> None:
        self._events: dict[Place, list[Event]] = {}
        for event in events:
            if event.place is None:
                raise UserError(f"The event {event.kind} {event.name} has no place.")
            self._events.setdefault(event.place, []).append(event)
        self._guides = guides or {}
        self.met: set[Place] = set()

    def events(self, place: Place) -> tuple[Event, ...]:
        self.met.add(place)
        return tuple(self._events.get(place, ()))

    def guide(self, place: Place) -> Guide | None:
        return self._guides.get(place)

    def never_met(self) -> tuple[Event, ...]:
        """Events whose place the take did not reach."""
        return tuple(e for place, events in self._events.items() if place not in self.met for e in events)


class LiveControl:
    """Changes that come while the loop runs, from another thread; each takes effect at the next decision."""

    def __init__(self, schedule: ScheduledControl | None = None) -> None:
        self._schedule = schedule
        self._pending: list[Event] = []
        self._lock = threading.Lock()
        self.refused: list[tuple[Event, str]] = []

    def put(self, event: Event) -> None:
        """Queue a change; safe from any thread."""
        with self._lock:
            self._pending.append(event)

    def events(self, place: Place) -> tuple[Event, ...]:
        with self._lock:
            pending, self._pending = self._pending, []
        scheduled = self._schedule.events(place) if self._schedule else ()
        return (*scheduled, *(replace(event, place=place) for event in pending))

    def guide(self, place: Place) -> Guide | None:
        return self._schedule.guide(place) if self._schedule else None

    def refuse(self, event: Event, reason: str) -> None:
        self.refused.append((event, reason))
