"""The requests themselves, on an engine: what the model process and its in-process twin both do."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

from valle.control import Control
from valle.errors import UserError
from valle.request import Codes, Prompt, Request
from valle.step import Step
from valle.take import Segment
from valle.text.phonemes import Phonemizer
from valle.voices import find_voice, list_voices
from valle_lab.engine import Engine, Generation
from valle_lab.session.engines import find_model
from valle_lab.session.origin import origin_of
from valle_lab.views import AttentionLook, AttentionView, Look, StepView
from valle_lab.worker.memory import Memory
from valle_lab.worker.messages import Ask, Begun, Description, ModelChoice, Progress
from valle_lab.worker.surface import ForgottenStepError, Wave

Report = Callable[[Progress], None]


EngineFactory = Callable[[ModelChoice, Report], Engine]


def load_engine(choice: ModelChoice, report: Report) -> Engine:
    """The real engine, its phonemizer started meanwhile; torch is imported here and nowhere earlier."""
    model = find_model(choice.model, choice.models)
    phonemizer = Phonemizer(choice.language)
    phonemizer.start()
    try:
        report(Progress("starting torch", 0.05))
        import torch  # noqa: F401

        from valle.inference import Engine as RealEngine

        report(Progress(f"loading the model {choice.model}", 0.5))
        engine = RealEngine.load(
            model,
            codec=choice.codec,
            device=choice.device,
            dtype=choice.dtype,
            threads=choice.threads,
            attention=choice.attention,
        )
    except BaseException:
        phonemizer.close()
        raise
    engine.adopt(phonemizer)
    return engine


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
        self.close()
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
        limits: dict[str, Any] = {} if ask.max_seconds is None else {"max_seconds": ask.max_seconds}
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
        request = generation.request
        return Begun(request, origin_of(self.engine, request.language))

    def decode(self, segments: Sequence[Segment], levels: int | None) -> Wave:
        """Codes as sound; nothing gives silence of no length."""
        return self.engine.wave(segments, levels)

    def prompt(self, voice: str, start: float, seconds: float | None) -> Prompt:
        """A voice as codes of the loaded codec."""
        return self.engine.prompt(find_voice(voice, self._voices), start, seconds)

    def close(self) -> None:
        """Let go of the engine, and end its helper processes."""
        if self._engine is not None:
            self._engine.close()
            self._engine = None
