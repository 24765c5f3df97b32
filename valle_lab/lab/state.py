"""What the lab knows: its takes, what it has to tell, and what changed since somebody last looked."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from valle.step import Step
from valle.take import Segment, Take, assemble
from valle_lab.lab.timeline import Timeline
from valle_lab.views import LevelView
from valle_lab.worker.messages import Begun, Made
from valle_lab.worker.surface import Speaking, Wave

Subject = Literal[
    "text",
    "stack",
    "takes",
    "steps",
    "model",
    "voices",
    "seed",
    "session",
    "sound",
    "view",
    "cursor",
    "settings",
]


@dataclass(frozen=True, slots=True)
class Notice:
    """One line for a person."""

    text: str
    error: bool = False


@dataclass(frozen=True, slots=True)
class News:
    """What changed, and what there is to tell."""

    subjects: frozenset[Subject] = frozenset()
    notices: tuple[Notice, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.subjects or self.notices)


@dataclass(slots=True)
class LabTake:
    """A take of this lab, from the moment it is asked for."""

    name: str
    text: str
    seed: int
    voice: str | None
    speaking: Speaking | None
    """None once it is over."""
    begun: Begun | None = field(default=None, repr=False)
    """What is spoken, once the worker has begun."""
    steps: list[Step] = field(default_factory=list, repr=False)
    timeline: Timeline = field(default_factory=Timeline, repr=False)
    made: Made | None = field(default=None, repr=False)
    failure: str | None = None
    """Why it came to nothing more, in one line."""
    wave: Wave | None = field(default=None, repr=False)
    """The decode of the whole take, once it was asked for."""
    rating: float | None = None
    """Stars, 0 to 5."""
    notes: tuple[str, ...] = ()
    kept: bool = False
    """Whether an audition or a sheet kept it."""
    hidden: bool = False
    """Off the list; it stays in the session."""

    @property
    def running(self) -> bool:
        """Whether it is still being made."""
        return self.speaking is not None

    @property
    def segments(self) -> tuple[Segment, ...]:
        """The codes of the finished take, or those of the steps so far."""
        if self.made is not None:
            return self.made.segments
        return self.take.segments if self.begun is not None else ()

    @property
    def levels(self) -> list[LevelView]:
        """The passes of the NAR so far."""
        return [_level(step) for step in self.steps if step.place.phase == "nar" and step.measures]

    @property
    def stop(self) -> str:
        """`stop`, `length`, `finish`, `cancel`; `failed` if it never began; empty while it runs."""
        if self.running:
            return ""
        return "failed" if self.begun is None else self.take.stop

    @property
    def take(self) -> Take:
        """The take in the engine's words; needs it to have begun."""
        if self.begun is None:
            raise ValueError(f"{self.name} has not begun")
        if self.made is None:
            return assemble(self.begun.request, self.steps, self.timeline.compute_seconds)
        return Take(self.begun.request, self.made.segments, tuple(self.steps), self.made.seconds)


def _level(step: Step) -> LevelView:
    raw, final = step.measures[0], step.measures[-1]
    return LevelView(
        segment=step.place.segment,
        level=step.place.level,
        entropy=raw.entropy.astype(np.float32),
        final_entropy=final.entropy.astype(np.float32),
        margin=step.margin.astype(np.float32),
        rank=raw.rank.astype(np.int32),
        seconds=step.seconds,
    )
