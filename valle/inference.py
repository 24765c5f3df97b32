"""What is loaded once and speaks many times: a model, its codec, its tokenizer, its phonemizers."""

from __future__ import annotations

import secrets
from collections.abc import Iterator, Sequence
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np

from valle.abilities import (
    able_lists,
    check_able,
    completed,
    default_mode,
    ids_of,
    levels_of,
    modes_of,
    tasks_of,
)
from valle.audio.opening import BUILTIN_CODEC as BUILTIN_CODEC
from valle.batch import BatchGeneration, together
from valle.checkpoints.details import tokenizer_of
from valle.checkpoints.opening import BUILTIN_MODEL as BUILTIN_MODEL
from valle.control import Control, NoControl
from valle.errors import UserError
from valle.generation import Generation
from valle.hindsight import Hindsight
from valle.modes import Demasking, phases
from valle.recipes import recipe_of
from valle.request import (
    FRAME_RATE,
    LEVELS,
    NO_TEXT,
    NullBranch,
    Part,
    Prefix,
    Prompt,
    Recipe,
    Request,
    Sentence,
)
from valle.samplers.calibrate import filled
from valle.samplers.stack import Stack
from valle.step import Step
from valle.take import Segment
from valle.text.phonemes import Phonemizer, Versions
from valle.text.sentences import SplitBy, split
from valle.text.tones import with_marks
from valle.voices import Voice, voice_codes

if TYPE_CHECKING:
    from valle.audio.codec import Codec, Wave
    from valle.checkpoints.loading import LoadedModel
    from valle.decoding.onlooker import Onlooker
    from valle.decoding.run import Run
    from valle.text.tokens import Tokenizer

MAX_SECONDS = 20.0
SMALL_MODEL = 20_000_000
"""Parameters below which one thread computes: so small a product gains little from a second one, and where
other programs compute it waits for whichever comes last (measured: up to twenty times as long)."""


class Engine(Hindsight):
    """A loaded model with everything that it needs to speak. Imports torch when it loads, not before."""

    def __init__(self, loaded: LoadedModel, codec: Codec, recipe: Recipe, name: str) -> None:
        self.model_name = name
        self.model_hash = loaded.hash
        self.model = loaded.model
        self.details = loaded.details
        self.codec = codec
        self.recipe = recipe
        self.remarks = loaded.remarks
        """What was ignored or assumed where the model was read, for people."""
        self.tokenizer = tokenizer_of(loaded.details, name)
        self.text_tokenizer: Tokenizer | None = None
        """Of plain text, for models that read or write it."""
        lists = able_lists(loaded.model.config, loaded.details.default_stacks)
        self.default_stack = Stack.from_dict(lists)
        self._phonemizers: dict[str, Phonemizer] = {}

    @classmethod
    def load(
        cls,
        model: str = "builtin",
        *,
        codec: str = "auto",
        device: str = "auto",
        dtype: str = "auto",
        threads: int | None = None,
        attention: str = "auto",
        tokenizer: str | Path | None = None,
        force_codec: bool = False,
        adapters: Sequence[tuple[str | Path, float]] = (),
    ) -> Engine:
        """Load a model, `builtin`, a file or folder, or a name of the hub, and the codec that it speaks.

        `tokenizer` names a tokenizer.json where the model's file has none; `force_codec` takes a codec that
        is not the model's own.
        `dtype` auto is float32 on the CPU and bfloat16 elsewhere; without `threads` a small model gets one,
        others as many as torch takes. Raises UserError for a model, codec, device or dtype that cannot be
        used here.
        """
        import torch

        from valle.audio.opening import open_codec
        from valle.checkpoints import opening
        from valle.checkpoints.beside import state_of, text_tokenizer_beside
        from valle.models.arch.attention import use_attention

        recipe = recipe_of(device, dtype, threads, attention)
        name = model if model == "builtin" or model.startswith("hf:") else Path(model).name
        opened = opening.open_model(opening.find(model), tokenizer)
        # What may be missing beside a model is told before its numbers are read, which may take a while.
        tokenizer_of(opened.details, name)
        own_codec = open_codec(codec, opened.details.codec, force_codec)
        loaded = opening.complete(opened, recipe.device, getattr(torch, recipe.dtype))
        use_attention(loaded.model, recipe.attention)
        if threads is None and sum(weight.numel() for weight in loaded.model.parameters()) < SMALL_MODEL:
            recipe = replace(recipe, threads=1)
        engine = cls(loaded, own_codec, recipe, name)
        engine.use_adapters(adapters)
        if texts := loaded.model.config.text_tokens:
            engine.text_tokenizer = text_tokenizer_beside(state_of(opening.find(model)), texts)
        engine._prepare()
        return engine

    @property
    def languages(self) -> tuple[str, ...]:
        """The languages that the model speaks."""
        return tuple(self.details.languages)

    @property
    def tasks(self) -> tuple[str, ...]:
        """The tasks that the model has the parts for, the tokenizer of plain text among them."""
        lacking = ("phn", "un-phn") if self.text_tokenizer is None else ()
        return tuple(task for task in tasks_of(self.model.config) if task not in lacking)

    @property
    def modes(self) -> tuple[str, ...]:
        """The modes that the model speaks in; the first is taken where none is asked for."""
        return modes_of(self.model.config)

    @property
    def layers(self) -> int:
        """How many layers the model has."""
        return self.model.config.layers

    def versions(self, language: str = "en") -> Versions:
        """What makes the phonemes of a language."""
        return self.phonemizer(language).versions()

    def phonemizer(self, language: str) -> Phonemizer:
        """The phonemizer of a language, started at its first use."""
        if language not in self._phonemizers:
            self._phonemizers[language] = Phonemizer(language)
        return self._phonemizers[language]

    def adopt(self, phonemizer: Phonemizer) -> None:
        """Use a phonemizer that was started before the model was loaded."""
        self._phonemizers[phonemizer.language] = phonemizer

    def sentences(self, text: str, language: str = "en", by: SplitBy = "sentence") -> tuple[Sentence, ...]:
        """The segments of a text with their phonemes and ids.

        Raises UserError for a text without words and for a language that the model does not know.
        """
        self._check_language(language)
        pieces = split(text, by, self.details.longest_sentence)
        if not pieces:
            raise UserError("There is no text to speak.")
        phonemizer = self.phonemizer(language)
        return tuple(self.sentence(piece, phonemizer.phonemize(piece), language) for piece in pieces)

    def sentence(self, text: str, phonemes: str, language: str) -> Sentence:
        """A text with its phonemes in a language, as the model's tokenizer has them, and their ids."""
        written = with_marks(phonemes, language, self.tokenizer.table)
        return Sentence(text, written, tuple(self.tokenizer.encode(written)))

    def prompt(self, voice: Voice, start: float = 0.0, seconds: float | None = None) -> Prompt:
        """A voice as codes of this engine's codec, of the part from `start` that lasts `seconds`."""
        codes = voice_codes(voice, self.codec, start, seconds)
        return Prompt(codes, self.codec.hash, voice.name, Part(start, seconds))

    def null_branch(
        self,
        text: str | None = None,
        voice: Voice | Prompt | Literal["none"] | None = None,
        language: str = "en",
    ) -> NullBranch:
        """What guidance is to lead away from: another text (empty: none), another voice, or no voice.

        What is not named stays as in the take; if neither is, it is a pass without text and voice. Raises
        UserError for a text that does not fit into one segment.
        """
        if text is None and voice is None:
            return NullBranch()
        kept: Sentence | Literal["none", "same"] = "same" if text is None else "none"
        if text is not None and text.strip():
            kept, *rest = self.sentences(text, language, "none")
            if rest:
                most = self.details.longest_sentence
                raise UserError(f"The negative text is too long; {most} characters are the most.")
        heard = self.prompt(voice) if isinstance(voice, Voice) else voice
        return NullBranch(kept, "same" if heard is None else heard)

    def request(
        self,
        text: str,
        *,
        voice: Voice | Prompt | None = None,
        language: str = "en",
        stack: Stack | None = None,
        seed: int | None = None,
        max_seconds: float = MAX_SECONDS,
        max_levels: int = LEVELS,
        by: SplitBy = "sentence",
        take: str = "take",
        null: NullBranch | None = None,
        task: str = "tts",
        mode: str | None = None,
        sources: Sequence[Prompt] = (),
        prefix: Prefix | None = None,
        history: int = 0,
        ar_frames: int = FRAME_RATE,
        demasking: Demasking | None = None,
        refine: bool = False,
        sentences: Sequence[Sentence] = (),
    ) -> Request:
        """A request for one take; a stack's missing phases come from the model, a missing seed is drawn.

        Thresholds that are kept for the model are put in where the stack leaves them open. `max_seconds`
        holds per segment; `null` says what guidance leads away from, where the stack has any. `task`, `mode`
        and what follows are those of the request; a text with sources is not split, and the task `stt` has
        none. `sentences` are taken in the text's place where it has been read already. Raises UserError for
        what cannot be spoken, and for what the model cannot do.
        """
        prompt = self.prompt(voice) if isinstance(voice, Voice) else voice
        stack = self.default_stack if stack is None else stack.over(self.default_stack)
        self._check_language(language)
        mode = default_mode(self.model.config) if mode is None else mode
        said = tuple(sentences) or (NO_TEXT,) * len(sources)
        able = tasks_of(self.model.config)
        if task == "un-phn" and task in able and self.text_tokenizer is None:
            raise UserError(
                f"The model {self.model_name} writes text by text_tokenizer.json, which is not beside it."
            )
        if task == "phn" and task in able and not sentences:
            said = self._texts(text, by)
        elif task != "stt" and not sentences:
            said = self.sentences(text, language, "none" if len(sources) == 1 else by)
        request = Request(
            sentences=said,
            language=language,
            stack=filled(completed(stack, phases(task, mode), self.model.config), self.model_hash),
            seed=secrets.randbits(32) if seed is None else seed,
            prompt=prompt,
            take=take,
            max_frames=round(max_seconds * FRAME_RATE),
            max_levels=min(max_levels, levels_of(self.model.config)),
            recipe=self.recipe,
            null=null or NullBranch(),
            task=task,
            mode=mode,
            sources=tuple(sources),
            prefix=prefix,
            history=history,
            between=self._between if prefix or history else (),
            ar_frames=ar_frames,
            demasking=demasking or Demasking(),
            refine=refine,
        )
        self._check(request)
        return request

    def generate(
        self,
        request: Request,
        control: Control | None = None,
        *,
        measured: bool = True,
        onlooker: Onlooker | None = None,
    ) -> Generation:
        """Make a take, step by step, as the returned iterator is read.

        `measured` off leaves out measures and evidence: such a take can be heard but not judged. An
        `onlooker` sees what each step was decided from.
        """
        return Generation(request, self._steps(request, control or NoControl(), measured, onlooker))

    def generate_batch(
        self,
        requests: Sequence[Request],
        controls: Sequence[Control] | None = None,
        *,
        measured: bool = True,
    ) -> BatchGeneration:
        """Make several takes at once, step by step, as the returned iterator is read; a control for each.

        Raises UserError for what cannot be made together: see `valle.batch.together`.
        """
        rows = together(requests)
        given = controls or [NoControl() for _ in rows]
        return BatchGeneration(rows, self._batch_steps(rows, given, measured))

    def wave(self, segments: Sequence[Segment], levels: int | None = None) -> Wave:
        """The sound of a take's segments, of all levels that were made or of the first few."""
        waves = [self.codec.decode(segment.codes()[:, :levels]) for segment in segments if segment.frames]
        return np.concatenate(waves) if waves else np.zeros(0, np.float32)

    def close(self) -> None:
        """End the helper processes."""
        for phonemizer in self._phonemizers.values():
            phonemizer.close()

    def _prepare(self) -> None:
        """Import what the first step would wait for: the loops, the noise, the model's own stages."""
        for module in ("valle.decoding.speech", "numpy.random"):
            import_module(module)

        from valle.samplers.sampler import Sampler

        for name in self.default_stack.lists:
            phase, _, level = name.partition(".")
            Sampler(self.default_stack, phase, int(level or 0))

    def _texts(self, text: str, by: SplitBy) -> tuple[Sentence, ...]:
        """The segments of a text that the model reads as it is written."""
        if self.text_tokenizer is None:
            raise UserError(
                f"The model {self.model_name} reads text by text_tokenizer.json, which is not beside it."
            )
        pieces = split(text, by, self.details.longest_sentence)
        if not pieces:
            raise UserError("There is no text.")
        return tuple(Sentence(piece, "", tuple(self.text_tokenizer.encode(piece))) for piece in pieces)

    def _steps(
        self, request: Request, control: Control, measured: bool, onlooker: Onlooker | None
    ) -> Iterator[Step]:
        import torch

        from valle.decoding.speech import decode_speech

        run = self._run(request, control, measured=measured, onlooker=onlooker)
        torch.set_num_threads(request.recipe.threads)
        yield from decode_speech(self.model, run, self.details.languages[request.language])

    def _batch_steps(
        self, requests: Sequence[Request], controls: Sequence[Control], measured: bool
    ) -> Iterator[Step]:
        import torch

        from valle.decoding.batch import decode_batch

        runs = [
            self._run(request, control, measured=measured, alone=False)
            for request, control in zip(requests, controls, strict=True)
        ]
        torch.set_num_threads(requests[0].recipe.threads)
        languages = [self.details.languages[request.language] for request in requests]
        yield from decode_batch(self.model, runs, languages)

    def _run(
        self,
        request: Request,
        control: Control,
        *,
        measured: bool,
        onlooker: Onlooker | None = None,
        alone: bool = True,
    ) -> Run:
        """A take that is about to be made. Raises UserError for what this engine cannot speak."""
        from valle.decoding.run import Run

        self._check_adapters(request.recipe)

        self._check(request)
        if not alone and request.phases != ("ar", "nar"):
            raise UserError(f"Takes in mode {request.mode} are made one by one, not several at once.")
        return Run(
            request,
            control,
            vocabulary=self.model.config.stop + 1,
            measured=measured,
            onlooker=onlooker,
            attends=self.model.attends,
            attached=self._attached,
            alone=alone,
            vocabularies={phase: ids_of(self.model.config, phase) for phase in request.phases},
        )

    def _check_language(self, language: str) -> None:
        if language not in self.details.languages:
            known = ", ".join(self.details.languages)
            raise UserError(f"The model {self.model_name} does not speak {language!r}; it knows {known}.")

    @property
    def _between(self) -> tuple[int, ...]:
        """The ids between two texts that are joined."""
        return tuple(self.tokenizer.encode(" ")[1:-1])

    def _check(self, request: Request) -> None:
        """Raise UserError for what this model cannot do, and for codes of another codec than its own."""
        check_able(self.model.config, request, self.model_name)
        for voice in (request.prompt, request.null.voice, *request.sources):
            if isinstance(voice, Prompt) and voice.codec != self.codec.hash:
                raise UserError(
                    f"The voice {voice.voice!r} has codes of another codec than {self.codec.name}."
                )
        if request.prefix is not None and request.prefix.codec != self.codec.hash:
            raise UserError(f"The prefix has codes of another codec than {self.codec.name}.")
