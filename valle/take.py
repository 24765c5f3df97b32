"""One generation: its segments with their codes, and every step that made them."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from valle.control import Event
from valle.modes import AT_ONCE, PHASE_OF_TASK
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

    def ids(self, segment: int = 0) -> tuple[int, ...]:
        """What a task that gives phonemes, text or a length came to, as ids; the stop left out."""
        phase = PHASE_OF_TASK[self.request.task]
        return tuple(
            int(step.tokens[0])
            for step in self.steps
            if step.place.segment == segment
            and step.place.phase == phase
            and len(step.tokens)
            and step.ended != "stop"
        )

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


def apart(ids: Codes) -> tuple[Codes, ...]:
    """The codebooks of ids that take turns, frame by frame; a frame that is not whole is left out."""
    whole = len(ids) // LEVELS * LEVELS
    return tuple(ids[:whole].reshape(-1, LEVELS).T)


def assemble(request: Request, steps: Sequence[Step], seconds: float = 0.0) -> Take:
    """Make a take of the steps so far; a segment whose steps break off counts as cancelled."""
    segments: list[Segment] = []
    for index in range(1 + max((step.place.segment for step in steps), default=-1)):
        segments.append(_segment(request, [step for step in steps if step.place.segment == index], index))
    return Take(request, tuple(segments), tuple(steps), seconds)


def _segment(request: Request, steps: Sequence[Step], index: int) -> Segment:
    levels: list[Codes] = [np.zeros(0, np.int16)] * LEVELS
    if request.phases == ("nar",):
        levels[0] = request.sources[index].codes[:, 0].astype(np.int16)
    frames = [
        step.tokens
        for step in steps
        if step.place.phase == "ar" and len(step.tokens) and step.ended != "stop"
    ]
    if frames:
        levels[0] = np.concatenate(frames).astype(np.int16)
        if request.mode == "interleaved":
            levels = list(apart(levels[0]))
    for step in steps:
        if step.place.phase in AT_ONCE and len(step.tokens):
            levels[step.place.level] = step.tokens.astype(np.int16)
    return Segment(tuple(levels), _stop(request, steps, levels))


def _stop(request: Request, steps: Sequence[Step], levels: Sequence[Codes]) -> str:
    """Why the segment ended; `cancel` unless all that was asked for was made or events ended it."""
    endings = [step.ended for step in steps if step.ended]
    if "cancel" in endings:
        return "cancel"
    made = sum(len(level) == len(levels[0]) for level in levels)
    finished = any(step.place.phase == "nar" and step.ended == "finish" for step in steps)
    if len(levels[0]) and made < request.max_levels and not finished:
        return "cancel"
    if request.phases == ("nar",):
        return endings[-1] if endings else "stop"
    first = [step for step in steps if step.place.phase != "nar"]
    return endings[-1] if endings and first[-1].ended else "cancel"
