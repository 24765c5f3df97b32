"""A take, segment by segment: the phases of its task and mode, one after the other."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from valle.decoding.ar import decode_ar
from valle.decoding.branches import Pair
from valle.decoding.inputs import NOTHING, Context, as_tensor, context_of, null_inputs, speech_inputs
from valle.decoding.nar import decode_nar
from valle.decoding.nar_len import Canvas, decode_nar_len
from valle.decoding.refine import refined
from valle.decoding.run import Run
from valle.decoding.text import decode_length, decode_text
from valle.models.ar_nar import ArNar
from valle.modes import PHASE_OF_TASK
from valle.request import LEVELS, Request
from valle.step import Step

__all__ = ["decode_speech", "null_inputs", "speech_inputs"]


def decode_speech(model: ArNar, run: Run, language: int) -> Iterator[Step]:
    """Yield the Steps of all segments of the run's request; `language` is its row of the embedding."""
    made: list[Tensor] = []
    for segment in range(len(run.request.sentences)):
        if run.request.task == "len":
            yield from decode_length(model, _pair(run, segment, language, NOTHING), run, segment)
        elif run.request.task in PHASE_OF_TASK:
            yield from decode_text(model, run, segment, language)
        else:
            speaking = _Speaking(model, run, segment, language, context_of(run.request, segment, made))
            yield from speaking.steps()
            made.append(speaking.codes)
        if run.cancelled:
            return


def _pair(run: Run, segment: int, language: int, context: Context) -> Pair:
    return pair_of(run.request, segment, language, context)


def pair_of(request: Request, segment: int, language: int, context: Context = NOTHING) -> Pair:
    """A segment of a request in both forms, before anything is made of it."""
    sentence = request.sentences[segment]
    return Pair(
        speech_inputs(request, sentence, language, context),
        null_inputs(request, sentence, language, context),
    )


@dataclass(eq=False)
class _Speaking:
    """One segment of speech in the making."""

    model: ArNar
    run: Run
    segment: int
    language: int
    context: Context
    level_0: list[int] = field(default_factory=list)
    levels: list[Tensor] = field(default_factory=list)

    @property
    def codes(self) -> Tensor:
        """What has been made, [frames, levels]."""
        if self.run.request.mode == "interleaved":
            whole = len(self.level_0) // LEVELS * LEVELS
            return torch.tensor(self.level_0[:whole], dtype=torch.long).reshape(-1, LEVELS)
        return torch.stack([torch.tensor(self.level_0, dtype=torch.long), *self.levels], dim=1)

    def steps(self) -> Iterator[Step]:
        """Yield the Steps of all phases, as far as no event cancels the take."""
        pair = _pair(self.run, self.segment, self.language, self.context)
        for steps in self._level_0(pair):
            yield from steps
            if self.run.cancelled:
                return
        if self.run.request.mode == "interleaved":
            return
        level_0 = torch.tensor(self.level_0, dtype=torch.long)[:, None]
        given = pair.given(level_0)
        for step in decode_nar(self.model, given, self.run, self.segment, self.context):
            if len(step.tokens):
                self.levels.append(torch.from_numpy(step.tokens.astype(np.int64)))
            yield step

    def _level_0(self, pair: Pair) -> Iterator[Iterator[Step]]:
        """The phases that come to level 0, in order; each is begun when the one before is over."""
        match self.run.request.mode:
            case "ar+nar" | "interleaved":
                yield self._written(pair, None)
            case "nar-len":
                yield from self._demasked(pair)
            case "ar+nar-len":
                yield from self._begun_and_demasked(pair)
            case _:
                self.level_0 = as_tensor(self.run.request.sources[self.segment].codes)[:, 0].tolist()

    def _written(self, pair: Pair, limit: int | None) -> Iterator[Step]:
        """The AR, and what refining makes of it."""
        stopped = False
        for step in decode_ar(self.model, pair, self.run, self.segment, limit):
            if len(step.tokens) and step.tokens[0] != self.model.config.stop:
                self.level_0.append(int(step.tokens[0]))
            stopped = step.ended == "stop"
            yield step
        if self.run.request.refine and stopped and self.level_0 and not self.run.cancelled:
            for step in refined(self.model, pair, self.run, self.segment, self.level_0):
                self._take(step)
                yield step

    def _demasked(self, pair: Pair) -> Iterator[Iterator[Step]]:
        request = self.run.request
        if request.sources:
            source = request.sources[self.segment].codes[:, 0].astype(np.int64)
            yield self._rounds(pair, Canvas.of_source(source, request.seed, self.segment))
            return
        length: list[int] = []
        yield self._measured(length)
        if frames := self._frames(length):
            yield self._rounds(pair, Canvas.empty(frames))

    def _begun_and_demasked(self, pair: Pair) -> Iterator[Iterator[Step]]:
        length: list[int] = []
        yield self._measured(length)
        if not (frames := self._frames(length)):
            return
        begun = min(frames, self.run.request.ar_frames)
        yield self._written(pair, begun)
        if len(self.level_0) == begun < frames:
            yield self._rounds(pair, Canvas.empty(frames, np.array(self.level_0)))

    def _measured(self, length: list[int]) -> Iterator[Step]:
        """The phase `len`, where the request does not say how long the segment is."""
        if self.run.request.demasking.frames:
            return
        pair = _pair(self.run, self.segment, self.language, NOTHING)
        for step in decode_length(self.model, pair, self.run, self.segment):
            length.extend(step.tokens.tolist())
            yield step

    def _frames(self, digits: Sequence[int]) -> int:
        return self.run.request.demasking.length(digits, self.run.request.max_frames)

    def _rounds(self, pair: Pair, canvas: Canvas) -> Iterator[Step]:
        for step in decode_nar_len(self.model, pair, self.run, self.segment, canvas, self.context):
            self._take(step)
            yield step

    def _take(self, step: Step) -> None:
        if len(step.tokens):
            self.level_0 = step.tokens.tolist()
