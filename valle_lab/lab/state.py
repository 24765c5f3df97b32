"""What the lab knows: its takes, what it has to tell, and what changed since somebody last looked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from valle.modes import SPEECH_TASKS
from valle.request import FRAME_RATE
from valle.step import Place, Step
from valle.take import Segment, Take, assemble
from valle_lab.lab.timeline import Timeline
from valle_lab.packed_steps import PackedSteps
from valle_lab.shelf import Shelf
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
    steps: Sequence[Step] = field(default=(), repr=False)
    """Those of a take that is over are kept in columns, and made anew when they are asked for."""
    timeline: Timeline = field(default_factory=Timeline, repr=False)
    made: Made | None = field(default=None, repr=False)
    failure: str | None = None
    """Why it came to nothing more, in one line."""
    broken_off: tuple[Segment, ...] | None = field(default=None, repr=False)
    """The codes of a take that ended without the worker's word."""
    wave: Wave | None = field(default=None, repr=False)
    """The decode of the whole take, once it was asked for; of the takes heard lately alone."""
    rating: float | None = None
    """Stars, 0 to 5."""
    notes: tuple[str, ...] = ()
    kept: bool = False
    """Whether an audition or a sheet kept it."""
    fixed: bool = False
    """Whether it was made to be compared, so that changes of the stack do not reach it."""
    hidden: bool = False
    """Off the list; it stays in the session."""
    parent: str | None = None
    """The take that it goes on from, if it is a fork."""
    fork: Place | None = None
    """The first decision of its own then."""
    how: str = ""
    """How it differs from its parent there, in a few words."""

    @property
    def running(self) -> bool:
        """Whether it is still being made."""
        return self.speaking is not None

    @property
    def speaks(self) -> bool:
        """Whether it gives speech, as far as is known."""
        return self.begun is None or self.begun.request.task in SPEECH_TASKS

    @property
    def deciding(self) -> str:
        """The phase that decides level 0, or the only one."""
        return "ar" if self.begun is None else self.begun.request.deciding

    @property
    def sounds(self) -> bool:
        """Whether there is anything to hear."""
        return any(segment.frames for segment in self.segments)

    @property
    def answer(self) -> str:
        """What a take that gives no speech came to, in words; empty until it is over."""
        told = "" if self.made is None else self.made.told
        if not told or self.begun is None or self.begun.request.task != "len":
            return told
        frames = sum(map(int, told.split()))
        return f"{frames} frames, {frames / FRAME_RATE:.2f} s"

    @property
    def segments(self) -> tuple[Segment, ...]:
        """The codes of the finished take, or those of the steps so far."""
        if self.made is not None:
            return self.made.segments
        if self.broken_off is not None:
            return self.broken_off
        return self.take.segments if self.begun is not None else ()

    def add(self, steps: Sequence[Step]) -> None:
        """More of the take was made."""
        if not isinstance(self.steps, list):
            self.steps = list(self.steps)
        self.steps.extend(steps)
        for step in steps:
            self.timeline.add(step, self.deciding)

    def settle(self, shelf: Shelf | None = None) -> None:
        """The take is over; its steps go on the shelf, where there is one."""
        self.end()
        self.put_away(PackedSteps(self.steps, shelf))

    def end(self) -> None:
        """No more steps are to come."""
        if self.made is None and self.begun is not None:
            self.broken_off = self.take.segments

    def put_away(self, packed: PackedSteps) -> None:
        """The steps of the take that is over are in columns from now on."""
        self.timeline.settle(packed)
        self.steps = packed

    @property
    def levels(self) -> list[LevelView]:
        """The passes of the NAR so far."""
        return [_level(step) for step in self.steps if step.place.phase == "nar" and step.measures]

    @property
    def stop(self) -> str:
        """`stop`, `length`, `finish`, `cancel`; `failed` if it never began; empty while it runs."""
        if self.running:
            return ""
        if self.begun is None:
            return "failed"
        return Take(self.begun.request, self.segments, ()).stop

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
