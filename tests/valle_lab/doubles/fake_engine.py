"""An engine without a model: the same steps for the same request, no torch; `factory` serves `--engine`."""

from __future__ import annotations

import math
import os
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from valle.batch import BatchGeneration, together
from valle.control import Control, NoControl
from valle.errors import UserError
from valle.modes import PHASE_OF_TASK
from valle.request import NO_TEXT, NullBranch, Part, Prompt, Recipe, Request, Sentence
from valle.samplers.stack import Stack
from valle.step import Evidence, Place, StageMeasures, Step
from valle.take import Segment, Take
from valle.text.phonemes import Versions
from valle.text.tokens import Tokenizer
from valle.voices import Voice
from valle_lab.worker.messages import ModelChoice, Progress

STACK = Stack.from_dict(
    {"ar": [{"name": "temperature", "value": 1.0}, {"name": "draw"}], "nar": [{"name": "greedy"}]}
)
FRAMES_PER_LETTER = 2
HEARD, FRAMES = "həlˈoʊ", 142
NOTHING = np.zeros(0, np.int16)


@dataclass(frozen=True)
class FakeCodec:
    name: str = "fake-codec"
    hash: str = "c" * 64

    def decode_chunks(self, chunks: Iterable[np.ndarray]) -> Iterator[np.ndarray]:
        """A frame sounds as its code of level 0, one frame later than it comes."""
        late = np.zeros(0, np.float32)
        for codes in chunks:
            wave = np.concatenate([late, np.repeat(codes[:, 0].astype(np.float32) / 4096, 320)])
            late = wave[-320:]
            yield wave[:-320]
        yield late


class FakeGeneration:
    """Two frames a letter, codes and entropies from the seed; of a text with `slow` a step takes 0.02 s."""

    def __init__(self, request: Request, control: Control) -> None:
        self.request = request
        self._control = control
        self._seconds = 0.02 if "slow" in request.sentences[0].text else 0.0
        self._stack = request.stack
        self._segments: list[Segment] = []
        self._made: list[Step] = []
        self._steps = self._run()

    @property
    def take(self) -> Take:
        return Take(self.request, tuple(self._segments), tuple(self._made), 0.01 * len(self._made))

    def __iter__(self) -> Iterator[Step]:
        return self

    def __next__(self) -> Step:
        time.sleep(self._seconds)
        step = next(self._steps)
        self._made.append(step)
        return step

    def _run(self) -> Iterator[Step]:
        for number, sentence in enumerate(self.request.sentences):
            if self.request.task in PHASE_OF_TASK:
                yield from self._told(number)
                continue
            random = np.random.default_rng([self.request.seed, number])
            yield from self._segment(number, sentence, random)
            if self._segments[number].stop == "cancel":
                return

    def _segment(self, number: int, sentence: Sentence, random: np.random.Generator) -> Iterator[Step]:
        codes: list[int] = []
        wanted = FRAMES_PER_LETTER * len(sentence.text)
        ended = None
        while ended is None:
            place = Place(number, "ar", 0, len(codes))
            events, ended = self._events(place)
            token = 1024 if len(codes) == wanted else int(random.integers(0, 1024))
            if ended is None and token == 1024:
                ended = "stop"
            if ended in ("finish", "cancel"):
                self._keep(number, codes, [], ended)
                yield Step(self.request.take, place, NOTHING, NOTHING, events=events, ended=ended)
                break
            if ended is None:
                codes.append(token)
            self._keep(number, codes, [], "cancel")
            yield self._step(place, np.array([token], np.int16), events, ended)
        if ended == "cancel":
            return
        levels: list[np.ndarray] = []
        for level in range(1, 8):
            events, cut = self._events(Place(number, "nar", level, 0))
            if cut == "cancel":
                self._keep(number, codes, levels, cut)
                place = Place(number, "nar", level, 0)
                yield Step(self.request.take, place, NOTHING, NOTHING, events=events, ended=cut)
                return
            levels.append(random.integers(0, 1024, len(codes)).astype(np.int16))
            self._keep(number, codes, levels, ended)
            yield self._step(Place(number, "nar", level, 0), levels[-1], events, None)

    def _told(self, number: int) -> Iterator[Step]:
        """Every recording says HEARD, and every text lasts FRAMES frames."""
        phase = PHASE_OF_TASK[self.request.task]
        written = [*map(int, str(FRAMES)), 10] if phase == "len" else Tokenizer.builtin().encode(HEARD)[1:]
        for index, token in enumerate(written):
            place = Place(number, phase, 0, index)
            events, ended = self._events(place)
            if ended is not None:
                self._keep(number, [], [], ended)
                yield Step(self.request.take, place, NOTHING, NOTHING, events=events, ended=ended)
                return
            last = token is written[-1]
            self._keep(number, [], [], "stop" if last else "cancel")
            yield self._step(place, np.array([token], np.int16), events, "stop" if last else None)

    def _events(self, place: Place) -> tuple[tuple, str | None]:
        ended, applied = None, []
        for event in self._control.events(place):
            try:
                if event.kind in ("finish", "cancel"):
                    ended = event.kind
                elif event.kind == "set":
                    self._stack = self._stack.set(event.name, event.value)
            except UserError as error:
                self._control.refuse(event, str(error))
                continue
            applied.append(event)
        return tuple(applied), ended

    def _step(self, place: Place, tokens: np.ndarray, events: tuple, ended: str | None) -> Step:
        count = len(tokens)
        values = np.full(count, 5 + 4 * math.sin(place.step / 7), np.float32)
        measures = tuple(
            StageMeasures(
                stage,
                kept=np.full(count, 1025, np.int32),
                removed=values * 0,
                entropy=values,
                varentropy=values,
                divergence=values * 0,
                rank=np.zeros(count, np.int32),
                probability=values / 10,
                stop_probability=values / 100,
            )
            for stage in ("raw", "final")
        )
        top = (np.zeros((count, 8), np.int16), np.zeros((count, 8), np.float32)) if count == 1 else ()
        return Step(
            self.request.take,
            place,
            tokens,
            tokens,
            events=events,
            ended=ended,
            log_probability=-values,
            runner_up=tokens.copy(),
            margin=values,
            measures=measures,
            evidence=Evidence(values, values, *top),
            seconds=0.01,
        )

    def _keep(self, number: int, codes: list[int], levels: list[np.ndarray], stop: str) -> None:
        del self._segments[number:]
        all_levels = [np.array(codes, np.int16), *levels]
        all_levels += [NOTHING] * (8 - len(all_levels))
        self._segments.append(Segment(tuple(all_levels), stop))


class FakeEngine:
    """Speaks as `FakeGeneration` does; of the text `crash` ends the process, `bug` raises, `noise` prints."""

    model_name = "fake"
    model_hash = "a" * 64
    remarks = ()
    codec = FakeCodec()
    tokenizer = Tokenizer.builtin()
    text_tokenizer = None
    languages = ("en", "de")
    default_stack = STACK
    recipe = Recipe()

    def versions(self, language: str) -> Versions:
        return Versions("1.52.0", "3.4.0")

    def prompt(self, voice: Voice, start: float = 0.0, seconds: float | None = None) -> Prompt:
        return Prompt(np.zeros((75, 8), np.int16), self.codec.hash, voice.name, Part(start, seconds))

    def request(
        self,
        text: str,
        *,
        voice: Prompt | None = None,
        language: str = "en",
        stack: Stack | None = None,
        seed: int | None = None,
        max_seconds: float = 12.0,
        by: str = "sentence",
        take: str = "take",
        null: NullBranch | None = None,
        **manner: Any,
    ) -> Request:
        if "bug" in text:
            raise RuntimeError("a bug")
        if manner.get("task") == "stt":
            heard = (NO_TEXT,) * len(manner["sources"])
            return Request(heard, language, stack or STACK, seed or 0, voice, take, **manner)
        if not any(letter.isalpha() for letter in text):
            raise UserError("The text has no sound in it.")
        sentences, led = self.sentences(text), null or NullBranch()
        return Request(sentences, language, stack or STACK, seed or 0, voice, take, null=led, **manner)

    tasks = ("tts", "ns", "len", "stt")
    modes = ("ar+nar", "nar-len")
    layers = 4

    def sentences(self, text: str, language: str = "en", by: str = "sentence") -> tuple[Sentence, ...]:
        parts = [part.strip() for part in text.split(".") if part.strip()]
        return tuple(Sentence(part, part, tuple(range(len(part)))) for part in parts)

    def generate(
        self, request: Request, control: Control | None = None, *, onlooker: object = None
    ) -> FakeGeneration:
        text = request.sentences[0].text
        if "crash" in text:
            os._exit(7)
        if "noise" in text:
            os.write(1, b"noise below python\n" * 100)
            print("noise of python")
            os.write(2, b"noise of errors\n")
            sys.stdout.flush()
        return FakeGeneration(request, control or NoControl())

    def generate_batch(
        self, requests: Sequence[Request], controls: Sequence[Control] | None = None
    ) -> BatchGeneration:
        """A step of each take in turn."""
        rows = together(requests)
        takes = [
            FakeGeneration(row, control or NoControl())
            for row, control in zip(rows, controls or [None] * len(rows), strict=True)
        ]
        return BatchGeneration(rows, _in_turn(takes))

    def null_branch(
        self, text: str | None = None, voice: Voice | str | None = None, language: str = "en"
    ) -> NullBranch:
        if text is None and voice is None:
            return NullBranch()
        words = "same" if text is None else next(iter(self.sentences(text)), "none")
        heard = self.prompt(voice) if isinstance(voice, Voice) else voice or "same"
        return NullBranch(words, heard)

    def close(self) -> None:
        """There is nothing to end."""

    def wave(self, segments: Sequence[Segment], levels: int | None = None) -> np.ndarray:
        frames = sum(segment.frames for segment in segments)
        return np.sin(np.arange(320 * frames, dtype=np.float32) / 20) * 0.1


def _in_turn(takes: list[FakeGeneration]) -> Iterator[Step]:
    while takes:
        for take in list(takes):
            step = next(take, None)
            if step is None:
                takes.remove(take)
            else:
                yield step


def factory(choice: ModelChoice, report: Callable[[Progress], None]) -> FakeEngine:
    """A model called `missing` is not there."""
    report(Progress("loading the model", 0.5))
    if choice.model == "missing":
        raise UserError("There is no model 'missing'.")
    return FakeEngine()
