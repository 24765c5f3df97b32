"""What the lab asks of its worker and what it is told: frozen values, torch-free."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from valle.early_exit import EarlyExit
from valle.manner import Manner
from valle.request import Part, Prompt, Recipe, Request
from valle.samplers.stack import Stack
from valle.take import Segment
from valle.text.sentences import SplitBy

if TYPE_CHECKING:
    from valle_lab.session.schema import Origin


@dataclass(frozen=True, slots=True)
class ModelChoice:
    """What is to be loaded; the words are those of the command line."""

    model: str = "builtin"
    codec: str = "auto"
    device: str = "auto"
    dtype: str = "auto"
    threads: int | None = None
    attention: str = "auto"
    language: str = "en"
    """Whose phonemes are made ready while the model is loaded."""
    models: str | None = None
    """The folder where models are looked for by name."""
    tokenizer: str = "auto"
    force_codec: bool = False
    memory_budget_gb: float = 0.0
    """For what can be made again, such as the logits of finished takes; at 0 only the newest step is kept."""
    adapters: tuple[tuple[str, float], ...] = ()
    """Files of adapters, and how strong they are in takes that say nothing of it."""


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a load has come."""

    doing: str
    fraction: float


@dataclass(frozen=True, slots=True)
class Description:
    """What is loaded and what can be asked of it."""

    model: str
    model_hash: str
    codec: str
    codec_hash: str
    languages: tuple[str, ...]
    voices: tuple[str, ...]
    phases: tuple[str, ...]
    default_stack: Stack
    recipe: Recipe
    remarks: tuple[str, ...] = ()
    """What was ignored or assumed where the model was read."""
    tasks: tuple[str, ...] = ("tts",)
    modes: tuple[str, ...] = ("ar+nar",)
    """The first is taken where none is chosen."""
    layers: int = 0
    """How many the model has; 0 where that is not told."""


@dataclass(frozen=True, slots=True)
class Ask:
    """One take in the words of a person: the worker turns the text into ids and the voice into codes."""

    text: str
    take: str = "take"
    voice: str | None = None
    """Name of a voice, or path of a recording; None speaks without one."""
    language: str = "en"
    stack: Stack | None = None
    """None takes the model's own."""
    seed: int | None = None
    """None draws one."""
    max_seconds: float | None = None
    """Per sentence; None takes the engine's own limit."""
    by: SplitBy = "sentence"
    """What one segment is made of."""
    part: Part = field(default_factory=Part)
    """Of the voice's recording."""
    negative_text: str | None = None
    """What guidance leads away from; None and no negative voice: a pass without text and voice."""
    negative_voice: str | None = None
    """Name of a voice, path of a recording, or `none`."""
    adapters: tuple[tuple[str, float], ...] = ()
    """Names of loaded adapters and the strengths that the take begins with; others have their usual one."""
    early_exit: EarlyExit | None = None
    """None runs all layers."""
    manner: Manner = field(default_factory=Manner)
    sources: tuple[Prompt, ...] = ()
    """Codes that are heard in the place of the manner's source: those of a take."""


@dataclass(frozen=True, slots=True)
class Begun:
    """A take that is about to be made: what is spoken, and by what."""

    request: Request
    origin: Origin


@dataclass(frozen=True, slots=True)
class Made:
    """What a take came to, when its last step is out."""

    segments: tuple[Segment, ...]
    seconds: float
    """Compute from the first step to the last."""
    memory: int = 0
    """Bytes that the worker keeps of all takes, of what can be made again."""
    told: str = ""
    """What a take that gives no speech came to: `valle.prompts.told`."""
