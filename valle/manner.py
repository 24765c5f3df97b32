"""What is to be made of a text and a voice, and how: task, mode, and what these take; needs no torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from typing import TYPE_CHECKING, Any, get_args

from valle.errors import UserError
from valle.modes import MODES, SPEECH_TASKS, TASKS, Confidence, ConfidenceOf, Demasking
from valle.prompts import prefix_of, prompt_of
from valle.reading import PhonemizedBy, Reading, read
from valle.request import FRAME_RATE

if TYPE_CHECKING:
    from valle.inference import Engine
    from valle.text.sentences import SplitBy
    from valle.voices import Voice

MOST_SEGMENTS = 16
MOST_SILENCE = 10.0


@dataclass(frozen=True, slots=True)
class Manner:
    """What a person may choose of a task and a mode. Raises UserError for what makes no sense."""

    task: str = "tts"
    mode: str | None = None
    """None is the model's first."""
    demasking: Demasking = field(default_factory=Demasking)
    history: int = 0
    """Segments before it that each segment goes on from."""
    ar_frames: int = FRAME_RATE
    """Mode `ar+nar-len`: frames that the AR writes."""
    refine: bool = False
    """One more pass over level 0 after the AR's stop."""
    source: str | None = None
    """A voice or a recording: what the task `stt` hears, and what is said in another voice in the modes `nar`
    and `nar-len`."""
    prefix: bool = False
    """Whether every segment goes on from the voice's recording, its transcript being known."""
    silence: float = 0.0
    """Seconds of silence that every segment goes on from."""
    phonemizer: PhonemizedBy = "espeak"
    """Who turns the text into phonemes."""
    text_language: str | None = None
    """The language that the text is read in, where the voice is to say it in another."""

    def __post_init__(self) -> None:
        if self.task not in TASKS:
            raise UserError(f"There is no task {self.task[:40]!r}; the tasks are {', '.join(TASKS)}.")
        if self.mode is not None and self.mode not in MODES:
            raise UserError(f"There is no mode {self.mode!r}; the modes are {', '.join(MODES)}.")
        if not 0 <= self.history <= MOST_SEGMENTS:
            raise UserError(f"The history must be from 0 to {MOST_SEGMENTS} segments, not {self.history}.")
        if self.ar_frames < 1:
            raise UserError(f"The frames of the AR must be 1 or more, not {self.ar_frames}.")
        if not 0.0 <= self.silence <= MOST_SILENCE:
            raise UserError(f"The silence must be from 0 to {MOST_SILENCE:g} seconds, not {self.silence:g}.")
        Reading(self.phonemizer)

    @property
    def speaks(self) -> bool:
        """Whether the task gives speech; the others give a length, phonemes or text."""
        return self.task in SPEECH_TASKS

    def check_speaks(self) -> None:
        """Raise UserError for a task that gives no speech."""
        if not self.speaks:
            raise UserError(f"The task {self.task!r} speaks nothing; use one of {', '.join(SPEECH_TASKS)}.")

    def to_dict(self) -> dict[str, Any]:
        """In the types of JSON."""
        values = {each.name: getattr(self, each.name) for each in fields(self)}
        steps = {each.name: getattr(self.demasking, each.name) for each in fields(Demasking)}
        return {**values, "demasking": steps}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Manner:
        """The manner that `to_dict` has written."""
        return cls(**{**values, "demasking": Demasking(**values["demasking"])})

    def arguments(
        self,
        engine: Engine,
        text: str,
        voice: Voice | None,
        source: Voice | None,
        language: str,
        by: SplitBy = "sentence",
    ) -> dict[str, Any]:
        """What `Engine.request` is given for it; nothing for the usual manner. Raises UserError."""
        usual = Manner()
        # What only speech has is left out of a task that gives none.
        named = ("task", "mode", "demasking", "history", "ar_frames", "refine") if self.speaks else ("task",)
        given = {name: getattr(self, name) for name in named if getattr(self, name) != getattr(usual, name)}
        if source is not None and (self.speaks or self.task == "stt"):
            given["sources"] = (prompt_of(engine, source),)
        reading = Reading(self.phonemizer, self.text_language)
        if reading != Reading() and self.task not in ("stt", "phn"):
            given["sentences"] = read(engine, text, language, reading, by if source is None else "none")
        if not self.speaks:
            return given
        if self.prefix and voice is None:
            raise UserError("There is no voice to go on from; choose one, or leave out the prefix.")
        if self.prefix or self.silence:
            from_voice = voice if self.prefix else None
            given["prefix"] = prefix_of(engine, from_voice, language, silence=self.silence)
        return given


DEMASKING = tuple(each.name for each in fields(Demasking))


def with_demasking(manner: Manner, name: str, value: str) -> Manner:
    """The manner with another value of one parameter of demasking. Raises UserError."""
    if name not in DEMASKING:
        raise UserError(f"Demasking has no {name!r}; it has {', '.join(DEMASKING)}.")
    kind = type(getattr(Demasking(), name))
    words = {"confidence": get_args(Confidence), "confidence_of": get_args(ConfidenceOf)}.get(name)
    if words and value not in words:
        raise UserError(f"demasking.{name} must be one of {', '.join(words)}, not {value!r}.")
    known = {"true": True, "on": True, "false": False, "off": False}
    try:
        read = known[value.lower()] if kind is bool else kind(value)
    except (KeyError, ValueError):
        wanted = {bool: "on or off", int: "a whole number", float: "a number"}.get(kind, "a word")
        raise UserError(f"demasking.{name} must be {wanted}, not {value!r}.") from None
    changed: dict[str, Any] = {name: read}
    return replace(manner, demasking=replace(manner.demasking, **changed))
