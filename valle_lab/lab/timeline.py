"""What the strips draw: one number a step, grown as a take runs, and how far the take has come."""

from __future__ import annotations

from array import array
from collections import deque

from valle.request import FRAME_RATE, LEVELS, Request
from valle.step import Step

FRAMES_PER_PHONEME = 6.0
"""A guess at the pace of speech, for the progress bar alone."""
AR_SHARE = 0.8
"""Of a segment's progress; the NAR levels share the rest."""
RATE_STEPS = 64


class Timeline:
    """The measures of the steps that decide level 0, one value each, and how far the take has come."""

    def __init__(self) -> None:
        self.entropy = array("d")
        """Of the raw distribution, in bits."""
        self.segment_starts: list[int] = []
        self.event_marks: list[int] = []
        self.phase = ""
        self.segment = 0
        self.level = 0
        self.frames = 0
        self.compute_seconds = 0.0
        self._segment_frames = 0
        self._recent: deque[float] = deque(maxlen=RATE_STEPS)

    def add(self, step: Step) -> None:
        """Take in one more step."""
        place = step.place
        self.compute_seconds += step.seconds
        if place.segment != self.segment or not self.segment_starts:
            self.segment_starts.append(len(self.entropy))
            self._segment_frames = 0
        self.phase, self.segment, self.level = place.phase, place.segment, place.level
        if step.events:
            self.event_marks.append(len(self.entropy))
        if place.phase != "ar" or not len(step.tokens):
            return
        self._recent.append(step.seconds)
        if step.ended != "stop":
            self.frames += 1
            self._segment_frames += 1
        if step.measures:
            self.entropy.append(float(step.measures[0].entropy[0]))

    @property
    def steps_per_second(self) -> float:
        """Over the latest steps that decide level 0; 0.0 before the first."""
        seconds = sum(self._recent)
        return len(self._recent) / seconds if seconds > 0 else 0.0

    @property
    def real_time_factor(self) -> float:
        """Compute seconds per second of audio so far; 0.0 before the first frame."""
        return self.compute_seconds * FRAME_RATE / self.frames if self.frames else 0.0

    def fraction(self, request: Request) -> float:
        """How much of the take is done, 0 to 1; a guess while the AR runs: only the model knows the end."""
        expected = max(1.0, FRAMES_PER_PHONEME * len(request.sentences[self.segment].phonemes))
        within = AR_SHARE * min(1.0, self._segment_frames / expected)
        if self.phase == "nar":
            within = AR_SHARE + (1 - AR_SHARE) * self.level / (LEVELS - 1)
        return min(1.0, (self.segment + within) / len(request.sentences))

    def doing(self, request: Request) -> str:
        """The phase in words."""
        where = f"{self.segment + 1}/{len(request.sentences)} " if len(request.sentences) > 1 else ""
        if self.phase == "nar":
            return f"{where}NAR level {self.level}"
        return f"{where}AR frame {self._segment_frames}"
