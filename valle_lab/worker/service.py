"""The requests themselves, on an engine: what the model process and its in-process twin both do."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from valle.control import Control
from valle.errors import UserError
from valle.request import Codes, Prompt, Recipe, Request
from valle.samplers.stack import Stack
from valle.step import Step
from valle.take import Segment, Take
from valle.text.phonemes import Versions
from valle.text.sentences import SplitBy
from valle.text.tokens import Tokenizer
from valle.voices import Voice, find_voice, list_voices
from valle_lab.session.origin import environment
from valle_lab.session.schema import Content, Origin
from valle_lab.views import AttentionLook, AttentionView, Look, StepView
from valle_lab.worker.memory import Memory
from valle_lab.worker.messages import Ask, Begun, Description, ModelChoice, Progress
from valle_lab.worker.surface import ForgottenStepError, Wave

if TYPE_CHECKING:
    from valle.decoding.onlooker import Onlooker
    from valle.models.attention_maps import AttentionTrack

Report = Callable[[Progress], None]


class Generation(Protocol):
    """A running take, as the engine gives it."""

    request: Request

    @property
    def take(self) -> Take: ...

    def __iter__(self) -> Iterator[Step]: ...

    def __next__(self) -> Step: ...


class Codec(Protocol):
    """What is told of a codec."""

    @property
    def name(self) -> str: ...

    @property
    def hash(self) -> str: ...


class Engine(Protocol):
    """What the worker needs of `valle.inference.Engine`; tests bring their own."""

    @property
    def model_name(self) -> str: ...

    @property
    def model_hash(self) -> str: ...

    @property
    def codec(self) -> Codec: ...

    @property
    def tokenizer(self) -> Tokenizer: ...

    @property
    def languages(self) -> tuple[str, ...]: ...

    @property
    def default_stack(self) -> Stack: ...

    @property
    def recipe(self) -> Recipe: ...

    def prompt(self, voice: Voice, start: float = 0.0, seconds: float | None = None) -> Prompt: ...

    def request(
        self,
        text: str,
        *,
        voice: Prompt | None = ...,
        language: str = ...,
        stack: Stack | None = ...,
        seed: int | None = ...,
        max_seconds: float = ...,
        by: SplitBy = ...,
        take: str = ...,
    ) -> Request: ...

    def versions(self, language: str) -> Versions: ...

    def generate(
        self, request: Request, control: Control | None = ..., *, onlooker: Onlooker | None = ...
    ) -> Generation: ...

    def observe(self, request: Request, segment: int, level_0: Codes) -> AttentionTrack: ...

    def wave(self, segments: Sequence[Segment], levels: int | None = None) -> Wave: ...


EngineFactory = Callable[[ModelChoice, Report], Engine]


def load_engine(choice: ModelChoice, report: Report) -> Engine:
    """The real engine; torch is imported here and nowhere earlier."""
    report(Progress("starting torch", 0.05))
    import torch  # noqa: F401

    from valle.inference import Engine as RealEngine

    report(Progress(f"loading the model {choice.model}", 0.5))
    return RealEngine.load(
        choice.model,
        codec=choice.codec,
        device=choice.device,
        dtype=choice.dtype,
        threads=choice.threads,
        attention=choice.attention,
    )


class Service:
    """The engine, once it is loaded, and what can be asked of it."""

    def __init__(self, factory: EngineFactory = load_engine, voices: Path | None = None) -> None:
        """`voices` is the folder of the user's own voices, where it is not the usual one."""
        self._factory = factory
        self._voices = voices
        self._engine: Engine | None = None
        self.memory = Memory()

    @property
    def engine(self) -> Engine:
        """The loaded engine; UserError while there is none."""
        if self._engine is None:
            raise UserError("No model is loaded yet.")
        return self._engine

    def load(self, choice: ModelChoice, report: Report) -> Description:
        """Load; the model that was loaded before is let go first, so that both never share the memory."""
        self._engine = None
        self.memory = Memory(choice.memory_budget_gb)
        self._engine = self._factory(choice, report)
        report(Progress("ready", 1.0))
        return self.describe()

    def describe(self) -> Description:
        """What is loaded, and what it can be asked for."""
        engine = self.engine
        return Description(
            model=engine.model_name,
            model_hash=engine.model_hash,
            codec=engine.codec.name,
            codec_hash=engine.codec.hash,
            languages=engine.languages,
            voices=tuple(voice.name for voice in list_voices(self._voices)),
            phases=tuple(engine.default_stack.lists),
            default_stack=engine.default_stack,
            recipe=engine.recipe,
        )

    def begin(self, ask: Ask | Request, control: Control) -> Generation:
        """The take that is asked for, ready to be iterated."""
        request = ask if isinstance(ask, Request) else self.request(ask)
        return self.engine.generate(request, control, onlooker=self.memory.begin(request.take))

    def look(self, look: Look) -> StepView:
        """One decision in full. Raises ForgottenStepError where it is not kept."""
        kept = self.memory.find(look.take, look.place)
        if kept is None:
            raise ForgottenStepError(look)
        from valle_lab.worker.looking import step_view

        return step_view(kept, look)

    def attend(self, look: AttentionLook, request: Request, level_0: Codes) -> AttentionView:
        """Where the model looks in a segment of which these codes [frames] are made."""
        from valle_lab.worker.attending import attention_view

        segment = look.segment or 0
        track = self.engine.observe(request, segment, level_0)
        symbols = tuple(
            self.engine.tokenizer.decode([id], specials=True) for id in request.sentences[segment].ids
        )
        return attention_view(track, look, symbols)

    def recall(self, request: Request, control: Control, steps: int) -> Iterator[Step]:
        """Make a take again, so many steps, as it is iterated; it can be looked at afterwards."""
        onlooker = self.memory.begin(request.take, remade=True)
        return islice(self.engine.generate(request, control, onlooker=onlooker), steps)

    def request(self, ask: Ask) -> Request:
        """Text as ids, voice as codes, seed drawn where none is given."""
        voice = None if ask.voice is None else self.prompt(ask.voice, ask.prompt_start, ask.prompt_seconds)
        limits = {} if ask.max_seconds is None else {"max_seconds": ask.max_seconds}
        return self.engine.request(
            ask.text,
            voice=voice,
            language=ask.language,
            stack=ask.stack,
            seed=ask.seed,
            by=ask.by,
            take=ask.take,
            **limits,
        )

    def begun(self, generation: Generation) -> Begun:
        """What is spoken, with the content and the versions that its replay will ask for."""
        engine, request = self.engine, generation.request
        versions = engine.versions(request.language)
        origin = Origin(
            model=Content(name=engine.model_name, sha256=engine.model_hash),
            codec=Content(name=engine.codec.name, sha256=engine.codec.hash),
            tokenizer=Content(name=engine.model_name, sha256=engine.tokenizer.hash),
            environment=environment(versions.espeak, versions.phonemizer),
        )
        return Begun(request, origin)

    def decode(self, segments: Sequence[Segment], levels: int | None) -> Wave:
        """Codes as sound; nothing gives silence of no length."""
        return self.engine.wave(segments, levels)

    def prompt(self, voice: str, start: float, seconds: float | None) -> Prompt:
        """A voice as codes of the loaded codec."""
        return self.engine.prompt(find_voice(voice, self._voices), start, seconds)
