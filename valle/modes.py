"""What a model can be asked for: tasks, modes, and the phases that each goes through. Needs no torch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from valle.errors import UserError

Confidence = Literal["taken", "best"]
ConfidenceOf = Literal["raw", "guided", "final"]

SPEECH_TASKS = ("tts", "tts-c", "ns", "sr")
"""Tasks that give speech: of a text, going on from the voice, without its noise, without its speech."""
PHASE_OF_TASK = {"len": "len", "stt": "stt", "phn": "phn", "un-phn": "un_phn"}
"""Tasks of a single phase: they give a length, phonemes or text."""
TASKS = (*SPEECH_TASKS, *PHASE_OF_TASK)

PHASES_OF_MODE = {
    "ar+nar": ("ar", "nar"),
    "nar-len": ("len", "nar_len", "nar"),
    "ar+nar-len": ("len", "ar", "nar_len", "nar"),
    "nar": ("nar",),
    "interleaved": ("ar",),
}
"""Modes of the speech tasks, each with its phases in order. `nar` takes level 0 as it is given; `interleaved`
writes the codes of all levels in turn, frame by frame."""
MODES = tuple(PHASES_OF_MODE)
LEVEL_0 = ("ar", "nar_len")
"""Phases that decide level 0."""
AT_ONCE = ("nar", "nar_len", "refine")
"""Phases whose steps decide all positions at once."""


def phases(task: str, mode: str) -> tuple[str, ...]:
    """The phases of a task in a mode, in order; UserError for one that does not exist."""
    if task in PHASE_OF_TASK:
        return (PHASE_OF_TASK[task],)
    if task not in SPEECH_TASKS:
        raise UserError(f"There is no task {task!r}; the tasks are {', '.join(TASKS)}.")
    if mode not in PHASES_OF_MODE:
        raise UserError(f"There is no mode {mode!r}; the modes are {', '.join(MODES)}.")
    return PHASES_OF_MODE[mode]


def spelt(digits: Sequence[int]) -> int:
    """The number that ids of the phase `len` spell, its stop left out; 0 without any."""
    return int("".join(str(digit) for digit in digits if 0 <= digit <= 9) or "0")


def deciding_phase(task: str, mode: str) -> str:
    """The phase that a name without a phase means: the one that decides level 0, or the only one."""
    named = phases(task, mode)
    return next((phase for phase in LEVEL_0 if phase in named), named[0])


@dataclass(frozen=True, slots=True)
class Demasking:
    """How the phase `nar_len` goes from masked frames to decided ones (Chang et al. 2022, arXiv 2202.04200).

    A round at time t, from `start` to `end`, masks the share cos(t pi / 2) of the frames, those of the least
    confidence, and decides them again.
    """

    steps: int = 25
    """Rounds."""
    start: float = 0.0
    """Time of the first round, 0 to 1: at 0 nothing of a source is kept, at 1 all of it but one frame."""
    end: float = 1.0
    """Time of the last round."""
    remasking: bool = True
    """Whether a frame that was decided may be masked again when others are surer than it."""
    noise: float = 0.0
    """Times (1 - t): how much Gumbel noise is added to the log-probabilities that confidence is."""
    confidence: Confidence = "taken"
    """Of the id that stands there, or of the best one, as in the reference."""
    confidence_of: ConfidenceOf = "guided"
    """Which distribution confidence is of: as the model gave it, after guidance, or after the whole stack."""
    frames: int = 0
    """How long a segment is; 0 asks the model (phase `len`)."""
    stretch: float = 1.0
    """What the model's answer is multiplied by."""

    def __post_init__(self) -> None:
        if not 1 <= self.steps <= 1000:
            raise UserError(f"The number of demasking steps must be from 1 to 1000, not {self.steps}.")
        if not 0.0 <= self.start <= self.end <= 1.0:
            raise UserError(
                f"Demasking goes from a time of 0 or later to one of 1 or earlier, not from {self.start:g} "
                f"to {self.end:g}."
            )
        if not 0.0 <= self.noise <= 100.0:
            raise UserError(f"The noise of demasking must be from 0 to 100, not {self.noise:g}.")
        if self.frames < 0:
            raise UserError(f"The number of frames must be 0 or more, not {self.frames}.")
        if not 0.1 <= self.stretch <= 10.0:
            raise UserError(f"The length can be stretched by 0.1 to 10, not by {self.stretch:g}.")

    def length(self, digits: Sequence[int], most: int) -> int:
        """The frames of a segment whose length the model has spelt; `most` at most, none without digits."""
        if self.frames:
            return min(self.frames, most)
        return min(max(1, round(spelt(digits) * self.stretch)), most) if digits else 0
