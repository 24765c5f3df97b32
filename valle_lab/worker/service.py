"""The requests themselves, on an engine: what the model process and its in-process twin both do."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, cast

import numpy as np

from valle.adapter_use import strengthened
from valle.control import Control
from valle.errors import UserError
from valle.fork import Fork
from valle.prompts import symbols, told
from valle.reading import PhonemizedBy, Reading, read
from valle.request import FRAME_RATE, Codes, NullBranch, Prompt, Recipe, Request, Sentence
from valle.step import Step
from valle.take import Segment, Take
from valle.text.phonemes import Phonemizer
from valle.text.sentences import SplitBy
from valle.voices import Voice, find_voice, list_voices
from valle.whatif import WhatIf
from valle_lab.engine import BatchGeneration, Codec, Engine, Generation
from valle_lab.session.engines import find_model
from valle_lab.session.origin import origin_of
from valle_lab.views import AttentionLook, AttentionView, Look, StepView, TakeLook
from valle_lab.worker.memory import Memory
from valle_lab.worker.messages import Ask, Begun, Description, Made, ModelChoice, Progress
from valle_lab.worker.surface import ForgottenStepError, Wave
from valle_lab.worker.take_memory import completed

if TYPE_CHECKING:
    from valle import downloads
    from valle.inference import Engine as RealEngine
    from valle.models.attention_maps import AttentionTrack

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

        from valle.checkpoints.opening import find, is_to_be_fetched
        from valle.inference import Engine as RealEngine

        if is_to_be_fetched(model):
            find(model, _fetching(model, report))
        report(Progress(f"loading the model {choice.model}", 0.5))
        engine = RealEngine.load(
            model,
            codec=choice.codec,
            device=choice.device,
            dtype=choice.dtype,
            threads=choice.threads,
            attention=choice.attention,
            tokenizer=None if choice.tokenizer == "auto" else choice.tokenizer,
            force_codec=choice.force_codec,
            adapters=choice.adapters,
        )
    except BaseException:
        phonemizer.close()
        raise
    engine.adopt(phonemizer)
    return engine


def _fetching(model: str, report: Report) -> downloads.Progress:
    """What tells how much of a model is here; a part of the time that loading takes."""

    def told(here: int, total: int | None) -> None:
        of = f": {here / 1e6:.0f} of {total / 1e6:.0f} MB" if total else ""
        report(Progress(f"fetching {model}{of}", 0.1 + (0.4 * here / total if total else 0.0)))

    told(0, None)
    return told


class Service:
    """The engine, once it is loaded, and what can be asked of it."""

    def __init__(self, factory: EngineFactory = load_engine, voices: Path | None = None) -> None:
        """`voices` is the folder of the user's own voices, where it is not the usual one."""
        self._factory = factory
        self._voices = voices
        self._engine: Engine | None = None
        self._choice: ModelChoice | None = None
        """What it was loaded for."""
        self.memory = Memory()
        self._pieces: dict[str, SoundInPieces] = {}

    @property
    def engine(self) -> Engine:
        """The loaded engine; UserError while there is none."""
        if self._engine is None:
            raise UserError("No model is loaded yet.")
        return self._engine

    def load(self, choice: ModelChoice, report: Report) -> Description:
        """Load; the model that was loaded before is let go first, so that both never share the memory.

        Where only other adapters are asked for, the model stays.
        """
        before, self._choice = self._choice, choice
        if before is not None and before != choice and replace(before, adapters=choice.adapters) == choice:
            self.engine.use_adapters(choice.adapters)
            return self.describe()
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
            remarks=engine.remarks,
            tasks=engine.tasks,
            modes=engine.modes,
            layers=engine.layers,
        )

    def begin(self, ask: Ask | Request | Fork, control: Control) -> Generation:
        """The take that is asked for, ready to be iterated; the control of a fork feeds it its past."""
        if isinstance(ask, Fork):
            return self.engine.generate(ask.request, control, onlooker=self.memory.begin_fork(ask))
        request = ask if isinstance(ask, Request) else self.request(ask)
        return self.engine.generate(request, control, onlooker=self.memory.begin(request))

    def begin_batch(
        self, ask: Ask, rows: Mapping[str, int], controls: Mapping[str, Control]
    ) -> BatchGeneration:
        """Several takes of one text, by name and seed, ready to be made at once; a control for each."""
        request = self.request(ask)
        requests = [replace(request, take=name, seed=seed) for name, seed in rows.items()]
        return self.engine.generate_batch(requests, [controls[name] for name in rows])

    def look(self, look: Look) -> StepView:
        """One decision in full. Raises ForgottenStepError where it is not kept."""
        kept = self.memory.find(look.take, look.place)
        if kept is None:
            raise ForgottenStepError(look)
        from valle_lab.worker.looking import step_view

        memory = self.memory.take(look.take)
        view = step_view(kept if memory is None or look.stack is None else completed(kept, memory), look)
        shown = {view.token, view.choice, view.runner_up, *view.candidates.ids.tolist()}
        return replace(view, symbols=symbols(cast("RealEngine", self.engine), view.place.phase, shown))

    def attend(self, look: AttentionLook, request: Request, level_0: Codes) -> AttentionView:
        """Where the model looks in a segment of which these codes [frames] are made."""
        from valle_lab.worker.attending import attention_view

        segment = look.segment or 0
        track = self._track(look.take, request, segment, level_0)
        symbols = tuple(
            self.engine.tokenizer.decode([id], specials=True) for id in request.sentences[segment].ids
        )
        return attention_view(track, look, symbols)

    def _track(self, take: str, request: Request, segment: int, level_0: Codes) -> AttentionTrack:
        """The attention of a segment: as it was watched; where it was not, as one pass tells it."""
        kept = self.memory.take(take)
        if kept is None:
            return self.engine.observe(request, segment, level_0)
        self.memory.watch()
        if kept.track is not None and kept.track[0] == segment and len(kept.track[1]) >= len(level_0) > 0:
            return kept.track[1]
        # Of a take that runs the last id is left out: the pass that reads it is still to come, and is
        # watched then.
        running = kept.being_written(segment)
        track = self.engine.observe(request, segment, level_0 if running is None else running)
        kept.track = (segment, track)
        return track

    def what_if(self, look: TakeLook, request: Request, steps: Sequence[Step]) -> WhatIf:
        """What another stack would have made of a take, of which these steps were made."""
        from valle_lab.worker.supposing import suppose

        return suppose(self.engine, self.memory.take(look.take), look, request, steps)

    def recall(self, request: Request, control: Control, steps: int) -> Iterator[Step]:
        """Make a take again, so many steps, as it is iterated; it can be looked at afterwards."""
        onlooker = self.memory.begin(request, remade=True)
        return islice(self.engine.generate(request, control, onlooker=onlooker), steps)

    def request(self, ask: Ask) -> Request:
        """Text as ids, voice as codes, a seed where none is given; `stt` hears the source or the voice."""
        part = ask.part
        voice = None if ask.voice is None else self.prompt(ask.voice, part.start, part.seconds)
        if voice is not None and part.looped is not None:
            voice = looped(voice, part.looped)
        manner = self._manner(ask)
        sources = ask.sources or manner.pop("sources", ())
        if ask.manner.task == "stt":
            sources, voice = sources or (() if voice is None else (voice,)), None
            if not sources:
                raise UserError("There is nothing to hear; choose a voice, or name a recording or a take.")
        limits: dict[str, Any] = {} if ask.max_seconds is None else {"max_seconds": ask.max_seconds}
        request = self.engine.request(
            ask.text,
            voice=voice,
            language=ask.language,
            stack=ask.stack,
            seed=ask.seed,
            by=ask.by,
            take=ask.take,
            null=self._null_branch(ask),
            sources=sources,
            **limits,
            **manner,
        )
        return replace(request, recipe=self._recipe(ask, request.recipe))

    def _recipe(self, ask: Ask, recipe: Recipe) -> Recipe:
        """The engine's recipe, with what the take says of adapters and layers."""
        adapters = recipe.adapters
        for name, strength in ask.adapters:
            adapters = strengthened(adapters, name, strength)
        return replace(recipe, adapters=adapters, early_exit=ask.early_exit)

    def _manner(self, ask: Ask) -> dict[str, Any]:
        """What the request is given for the manner that is asked for."""
        manner = ask.manner
        source = None if manner.source is None else find_voice(manner.source, self._voices)
        voice = find_voice(ask.voice, self._voices) if manner.prefix and ask.voice is not None else None
        engine = cast("RealEngine", self.engine)
        return manner.arguments(engine, ask.text, voice, source, ask.language, ask.by)

    def _null_branch(self, ask: Ask) -> NullBranch:
        voice: Voice | Literal["none"] | None = None
        if ask.negative_voice == "none":
            voice = "none"
        elif ask.negative_voice is not None:
            voice = find_voice(ask.negative_voice, self._voices)
        return self.engine.null_branch(ask.negative_text, voice, ask.language)

    def sentences(
        self, text: str, language: str, by: SplitBy, phonemizer: PhonemizedBy = "espeak"
    ) -> tuple[Sentence, ...]:
        """A text as it would be spoken: its segments with their phonemes and ids."""
        if phonemizer == "espeak":
            return self.engine.sentences(text, language, by)
        return read(cast("RealEngine", self.engine), text, language, Reading(phonemizer), by)

    def decode_piece(self, name: str, codes: Codes, *, first: bool, last: bool) -> Wave:
        """The sound of codes [frames, levels] that go on where the piece of that name before ended.

        It comes as late as the codec needs later frames for it; the last piece brings all that is left.
        """
        if first or name not in self._pieces:
            self._pieces = {name: SoundInPieces(self.engine.codec)}
        pieces = self._pieces[name]
        wave = pieces.add(codes) if len(codes) else np.zeros(0, np.float32)
        return np.concatenate([wave, pieces.end()]) if last else wave

    def begun(self, request: Request) -> Begun:
        """What is spoken, with the content and the versions that its replay will ask for."""
        return Begun(request, origin_of(self.engine, request.language))

    def made(self, take: Take) -> Made:
        """What a take came to."""
        said = told(cast("RealEngine", self.engine), take)
        return Made(take.segments, take.seconds, self.memory.size, said)

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


class SoundInPieces:
    """A wave whose codes come piece by piece."""

    def __init__(self, codec: Codec) -> None:
        self._codes: deque[Codes] = deque()
        self._waves = codec.decode_chunks(self._taken())

    def _taken(self) -> Iterator[Codes]:
        while self._codes:
            yield self._codes.popleft()

    def add(self, codes: Codes) -> Wave:
        """Take more codes, at least one frame; the sound that they settle."""
        self._codes.append(codes)
        return next(self._waves)

    def end(self) -> Wave:
        """All the sound that is left."""
        return next(self._waves, np.zeros(0, np.float32))


def looped(prompt: Prompt, seconds: float) -> Prompt:
    """A prompt that is repeated, or cut, until it is so long."""
    frames = max(1, round(seconds * FRAME_RATE))
    part = prompt.part and replace(prompt.part, looped=seconds)
    return replace(prompt, codes=np.resize(prompt.codes, (frames, prompt.codes.shape[1])), part=part)
