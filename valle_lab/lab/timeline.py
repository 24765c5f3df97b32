"""What the strips draw: the measures of each step, grown as a take runs, and how far the take has come."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from valle.modes import AT_ONCE
from valle.request import FRAME_RATE, LEVELS, Request
from valle.step import Place, Step
from valle_lab.lab.columns import Columns
from valle_lab.packed_steps import PackedSteps, SomeSteps

Measure = Literal["entropy", "varentropy", "margin", "stop", "rank", "final_entropy", "kept"]
"""Of the raw distribution: entropy [bits], varentropy [bits squared], probability of the stop token, rank of
the chosen one from 0; of the final one: entropy, ids kept. `margin`: best minus second perturbed score."""
Surprise = Literal["entropy", "margin"]
Values = NDArray[np.float64]
EARLY = ("exit_layer", "drafted")

FRAMES_PER_PHONEME = 6.0
"""A guess at the pace of speech, for the progress bar alone."""
USUAL_DIGITS = 3.0
AR_SHARE = 0.8
"""Of a segment's progress; the NAR levels share the rest."""
RATE_STEPS = 64
PEAK_RADIUS = 3
"""A peak is the highest of so many neighbours on both sides."""


class Timeline:
    """One row for each decision of level 0, or each id of a take that gives no speech; where things happened,
    and how far the take has come."""

    def __init__(self) -> None:
        self._columns = Columns(*get_args(Measure), "frame", *EARLY)
        self.early = False
        """Whether any row was decided without all layers, or had been drafted by some."""
        self.decisions: Sequence[Step] = []
        """The steps that the rows are of."""
        self._numbers: list[int] = []
        """Which of all steps of the take they are."""
        self._count = 0
        self.segment_starts: list[int] = []
        """The rows with which a sentence begins."""
        self.event_marks: list[int] = []
        """The rows before which the take was changed."""
        self.phase = ""
        self.segment = 0
        self.level = 0
        self.round = 0
        """Of demasking: how many rounds the segment has had."""
        self.frames = 0
        self.compute_seconds = 0.0
        self._segment_frames = 0
        self._recent: deque[float] = deque(maxlen=RATE_STEPS)

    def __len__(self) -> int:
        return len(self._columns)

    def add(self, step: Step, deciding: str = "ar") -> None:
        """Take in one more step; those of the deciding phase are rows, unless they decide many at once."""
        place = step.place
        self._count += 1
        self.compute_seconds += step.seconds
        if place.segment != self.segment or not self.segment_starts:
            self.segment_starts.append(len(self))
            self._segment_frames = 0
        self.phase, self.segment, self.level = place.phase, place.segment, place.level
        if step.events:
            self.event_marks.append(len(self))
        if place.phase == "nar_len" and len(step.tokens):
            self.round = place.step + 1
            self.frames += len(step.tokens) - self._segment_frames
            self._segment_frames = len(step.tokens)
        if place.phase != deciding or deciding in AT_ONCE or not len(step.tokens):
            return
        self._recent.append(step.seconds)
        if step.measures:
            self._measure(step)
        if step.ended != "stop":
            self._segment_frames += 1
            if place.phase == "ar":
                self.frames += 1

    def settle(self, steps: PackedSteps) -> None:
        """All steps of the take are in columns now; nothing else is to keep them."""
        self.decisions = SomeSteps(steps, self._numbers)
        self._numbers = []
        self._columns.settle()

    def level_0(self, segment: int) -> NDArray[np.int16]:
        """The codes of level 0 of a segment so far, [frames]."""
        starts = [*self.segment_starts, len(self)]
        if segment >= len(self.segment_starts):
            return np.zeros(0, np.int16)
        steps = self.decisions[starts[segment] : starts[segment + 1]]
        return np.array([int(step.tokens[0]) for step in steps if step.ended != "stop"], np.int16)

    def values(self, measure: Measure) -> Values:
        """All values of a measure so far; slice it for a window."""
        return self._columns[measure]

    @property
    def exit_layers(self) -> Values:
        """By how many layers each row was decided, 0 being all."""
        return self._columns["exit_layer"]

    @property
    def drafts(self) -> Values:
        """1 where early layers had drafted the row's token, -1 where another one, 0 where none."""
        return self._columns["drafted"]

    @property
    def entropy(self) -> Values:
        """Of the raw distribution, in bits."""
        return self.values("entropy")

    def seconds(self, row: int) -> float:
        """When the sound of a decision begins."""
        return float(self._columns["frame"][row]) / FRAME_RATE

    def row_at(self, seconds: float) -> int:
        """The decision whose frame sounds then; the last one beyond the end, 0 where there is none."""
        after = np.searchsorted(self._columns["frame"], int(seconds * FRAME_RATE), "right")
        return max(0, int(after) - 1)

    def place(self, row: int) -> Place:
        """Where a decision stands, as a `Look` wants it."""
        return self.decisions[row].place

    def surprises(self, kind: Surprise) -> NDArray[np.int64]:
        """The rows at which entropy peaks, or at which the choice was nearly another, in order."""
        if kind == "entropy":
            return peaks(self.values("entropy"))
        return peaks(-self.values("margin"))

    def _measure(self, step: Step) -> None:
        raw = step.measures[0]
        self._columns.append(
            float(raw.entropy[0]),
            float(raw.varentropy[0]),
            float(step.margin[0]) if len(step.margin) else 0.0,
            float(raw.stop_probability[0]),
            float(raw.rank[0]),
            float(step.measures[-1].entropy[0]),
            float(step.measures[-1].kept[0]),
            float(self.frames),
            float(step.exit_layer),
            float(step.drafted),
        )
        self.early = self.early or bool(step.exit_layer or step.drafted)
        assert isinstance(self.decisions, list)
        self.decisions.append(step)
        self._numbers.append(self._count - 1)

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
        expected = max(1.0, self._expected(request))
        within = AR_SHARE * min(1.0, self._segment_frames / expected)
        if self.phase == "nar_len":
            within = AR_SHARE * self.round / request.demasking.steps
        if self.phase == "nar":
            within = AR_SHARE + (1 - AR_SHARE) * self.level / (LEVELS - 1)
        return min(1.0, (self.segment + within) / len(request.sentences))

    def _expected(self, request: Request) -> float:
        """A guess at how many ids the segment comes to."""
        sentence = request.sentences[self.segment]
        match request.task:
            case "stt":
                return len(request.sources[self.segment].codes) / FRAMES_PER_PHONEME
            case "len":
                return USUAL_DIGITS
            case "phn" | "un-phn":
                return len(sentence.ids)
        return FRAMES_PER_PHONEME * len(sentence.phonemes)

    def doing(self, request: Request) -> str:
        """The phase in words."""
        where = f"{self.segment + 1}/{len(request.sentences)} " if len(request.sentences) > 1 else ""
        if self.phase == "nar":
            return f"{where}NAR level {self.level}"
        if self.phase == "nar_len":
            return f"{where}round {self.round} of {request.demasking.steps}"
        if self.phase == "ar":
            return f"{where}AR frame {self._segment_frames}"
        return f"{where}{self.phase} id {self._segment_frames}"


def peaks(values: Values) -> NDArray[np.int64]:
    """Where values [N] peak: the first highest of their neighbours, and above the mean."""
    if len(values) < 2 * PEAK_RADIUS + 1:
        return np.zeros(0, np.int64)
    padded = np.pad(values, PEAK_RADIUS, constant_values=-np.inf)
    around = np.lib.stride_tricks.sliding_window_view(padded, 2 * PEAK_RADIUS + 1)
    first = around.argmax(axis=1) == PEAK_RADIUS
    return np.flatnonzero(first & (values > values.mean()))
