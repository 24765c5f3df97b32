"""One generation: its segments with their codes, and every step that made them."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from valle.control import Event
from valle.request import FRAME_RATE, LEVELS, Codes, Request
from valle.step import Step


@dataclass(frozen=True, slots=True)
class Segment:
    """One sentence's codes; a level that was not made is an empty array."""

    levels: tuple[Codes, ...]
    """LEVELS arrays, [frames] or [0] each."""
    stop: str
    """`stop`, `length`, `finish` or `cancel`."""

    @property
    def frames(self) -> int:
        return len(self.levels[0])

    def codes(self) -> Codes:
        """The levels that were made, [frames, made]."""
        made = [level for level in self.levels if len(level) == self.frames]
        return np.stack(made, axis=1).astype(np.int16) if self.frames else np.zeros((0, 1), np.int16)


@dataclass(frozen=True, slots=True)
class Take:
    """What was asked for and what came of it."""

    request: Request
    segments: tuple[Segment, ...]
    steps: tuple[Step, ...]
    seconds: float = 0.0
    """Compute from the first step to the last; loading and the codec left out."""

    @property
    def frames(self) -> int:
        return sum(segment.frames for segment in self.segments)

    @property
    def duration(self) -> float:
        """Seconds of audio."""
        return self.frames / FRAME_RATE

    @property
    def stop(self) -> str:
        """`cancel` if not every sentence was spoken, else why the last segment ended."""
        return self.segments[-1].stop if len(self.segments) == len(self.request.sentences) else "cancel"

    @property
    def events(self) -> tuple[Event, ...]:
        return tuple(event for step in self.steps for event in step.events)


def codes_sha256(segments: Sequence[Segment]) -> tuple[str, ...]:
    """One hash a codebook over the segments in order: sha256 of the codes as int16, little-endian."""
    return tuple(
        hashlib.sha256(
            b"".join(
                np.ascontiguousarray(segment.levels[level], dtype="<i2").tobytes() for segment in segments
            )
        ).hexdigest()
        for level in range(LEVELS)
    )


def assemble(request: Request, steps: Sequence[Step], seconds: float = 0.0) -> Take:
    """Make a take of the steps so far; a segment whose steps break off counts as cancelled."""
    segments: list[Segment] = []
    for index in range(1 + max((step.place.segment for step in steps), default=-1)):
        segments.append(_segment([step for step in steps if step.place.segment == index], request.max_levels))
    return Take(request, tuple(segments), tuple(steps), seconds)


def _segment(steps: Sequence[Step], wanted: int) -> Segment:
    levels: list[Codes] = [np.zeros(0, np.int16)] * LEVELS
    frames = [
        step.tokens
        for step in steps
        if step.place.phase == "ar" and len(step.tokens) and step.ended != "stop"
    ]
    if frames:
        levels[0] = np.concatenate(frames).astype(np.int16)
    for step in steps:
        if step.place.phase == "nar" and len(step.tokens):
            levels[step.place.level] = step.tokens.astype(np.int16)
    return Segment(tuple(levels), _stop(steps, levels, wanted))


def _stop(steps: Sequence[Step], levels: Sequence[Codes], wanted: int) -> str:
    endings = [step.ended for step in steps if step.ended]
    made = sum(len(level) == len(levels[0]) for level in levels)
    finished = any(step.place.phase == "nar" and step.ended == "finish" for step in steps)
    complete = bool(endings) and (len(levels[0]) == 0 or made >= wanted or finished)
    return endings[-1] if complete and "cancel" not in endings else "cancel"
