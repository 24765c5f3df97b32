"""What is asked for: sentences with their phonemes, a voice as codes, a stack, a seed, limits, a recipe."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from valle.adapter_use import AdapterUse
from valle.early_exit import EarlyExit
from valle.errors import UserError
from valle.modes import PHASES_OF_MODE, SPEECH_TASKS, Demasking, deciding_phase, phases
from valle.samplers.stack import Stack

FRAME_RATE = 75
LEVELS = 8
SEED_LIMIT = 2**64
NO_VOICE = "random voice"
"""What a take is said to be spoken in that has no voice to go by."""
Codes = NDArray[np.int16]


@dataclass(frozen=True, slots=True)
class Sentence:
    """One segment's text, as the model gets it."""

    text: str
    phonemes: str
    ids: tuple[int, ...]


NO_TEXT = Sentence("", "", ())
"""What stands for the text of a segment whose text is asked for."""


@dataclass(frozen=True, slots=True)
class Part:
    """Which part of a voice's recording is the prompt."""

    start: float = 0.0
    """In seconds."""
    seconds: float | None = None
    """None is to the end."""
    looped: float | None = None
    """How long the part is made by repeating it; None leaves it as it is."""

    @property
    def is_whole(self) -> bool:
        """Whether it is the recording as it is."""
        return self == Part()

    def __str__(self) -> str:
        length = "to the end" if self.seconds is None else f"{self.seconds:.2f} s"
        looped = "" if self.looped is None else f", repeated for {self.looped:g} s"
        return f"from {self.start:.2f} s, {length}{looped}"


@dataclass(frozen=True, slots=True)
class Prompt:
    """A voice as codes of one codec; of the voice's name and part nothing is made, they are to be told."""

    codes: Codes
    """[frames, levels]"""
    codec: str
    """Content hash of the codec that made them."""
    voice: str = ""
    part: Part | None = None
    """Of the voice's recording; None where it is not known."""


@dataclass(frozen=True, slots=True)
class Prefix:
    """Speech that every segment goes on from, and what is said in it: it is heard by the model alone."""

    sentence: Sentence
    """Its ids come before those of each sentence; without ids nothing is said in it."""
    codes: Codes
    """[frames, levels]; no frames: only the text comes before."""
    codec: str
    """Content hash of the codec that made them."""


@dataclass(frozen=True, slots=True)
class NullBranch:
    """What the null pass is given in place of the text and the voice: what guidance leads away from."""

    text: Sentence | Literal["none", "same"] = "none"
    """`none`: no phonemes; `same`: each sentence as it is; or another one, for all segments."""
    voice: Prompt | Literal["none", "same"] = "none"
    """`none`: no prompt; `same`: the take's own; or another one."""

    @property
    def is_bare(self) -> bool:
        """Whether it is a pass without text and voice."""
        return (self.text, self.voice) == ("none", "none")


@dataclass(frozen=True, slots=True)
class Recipe:
    """Everything that changes the last bits of a logit without changing what is asked for."""

    device: str = "cpu"
    dtype: str = "float32"
    threads: int = 1
    attention: str = "auto"
    guidance: str = "one batch"
    """`one batch` or `two passes`."""
    batch: tuple[str, ...] = ()
    """Takes of the batch, in order, where there were several; the take's own id is among them."""
    adapters: tuple[AdapterUse, ...] = ()
    """Those that are loaded, at the strengths that the take begins with."""
    early_exit: EarlyExit | None = None
    """None: every step runs all layers."""


@dataclass(frozen=True, slots=True)
class Request:
    """One take to make."""

    sentences: tuple[Sentence, ...]
    language: str
    stack: Stack
    seed: int
    prompt: Prompt | None = None
    take: str = "take"
    task: str = "tts"
    mode: str = "ar+nar"
    max_frames: int = 12 * FRAME_RATE
    """Per segment."""
    max_levels: int = LEVELS
    recipe: Recipe = field(default_factory=Recipe)
    null: NullBranch = NullBranch()
    sources: tuple[Prompt, ...] = ()
    """Speech that is there already, one of each segment: what `stt` hears, what the mode `nar` revoices, and
    what is converted where demasking begins later than at 0."""
    prefix: Prefix | None = None
    history: int = 0
    """How many of the segments before it each segment goes on from, as a prefix."""
    between: tuple[int, ...] = ()
    """The ids between texts that are joined: a space's."""
    ar_frames: int = FRAME_RATE
    """Mode `ar+nar-len`: the frames that the AR writes before the rest is demasked."""
    demasking: Demasking = field(default_factory=Demasking)
    refine: bool = False
    """Whether all of level 0 is decided once more after the AR's stop, the likelier one being kept."""

    @property
    def voice(self) -> str:
        """The name of the voice, where it has one."""
        return NO_VOICE if self.prompt is None else self.prompt.voice

    @property
    def phases(self) -> tuple[str, ...]:
        """The phases of the task in the mode, in order."""
        return phases(self.task, self.mode)

    @property
    def deciding(self) -> str:
        """The phase that decides level 0, or the only one."""
        return deciding_phase(self.task, self.mode)

    def __post_init__(self) -> None:
        if not 0 <= self.seed < SEED_LIMIT:
            raise UserError(f"The seed {self.seed} is out of range; it must be from 0 to 2^64 - 1.")
        if not self.sentences:
            raise UserError("There is no text to speak.")
        if self.max_frames < 1:
            raise UserError(f"The longest duration must be at least one frame, not {self.max_frames}.")
        if not 1 <= self.max_levels <= LEVELS:
            raise UserError(f"The number of levels must be from 1 to {LEVELS}, not {self.max_levels}.")
        named = self.phases
        hears = self.task == "stt" or named == ("nar",)
        if self.sources and not hears and named != PHASES_OF_MODE["nar-len"]:
            what = f"mode {self.mode}" if self.task in SPEECH_TASKS else f"task {self.task}"
            raise UserError(
                f"The {what} has no use for speech that is there; leave the source out, or take "
                "nar or nar-len."
            )
        if len(self.sources) != (len(self.sentences) if hears or self.sources else 0):
            raise UserError(
                f"Task {self.task} in mode {self.mode} takes a source for each of its {len(self.sentences)} "
                f"segments, not {len(self.sources)}."
            )
        if self.task not in SPEECH_TASKS and (self.prefix or self.history):
            raise UserError(f"The task {self.task} has nothing to go on from; leave out prefix and history.")
        if self.history < 0 or self.ar_frames < 1:
            raise UserError("The history must be 0 segments or more, and the frames of the AR 1 or more.")
        if self.refine and "ar" not in named:
            raise UserError(f"Only what the AR has written is refined; the mode {self.mode} has no AR.")
