"""The rows of a request: what the model is given for one segment, and what the null pass gets instead."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import torch
from torch import Tensor

from valle.models.base import Inputs
from valle.models.layout import Prompt as PromptCodes
from valle.request import LEVELS, Codes, Prompt, Request, Sentence

TASKS_WITH_TOKEN = ("ns", "sr")
"""Tasks that are told to the model, by a token in front of the prompt."""


@dataclass(frozen=True, eq=False)
class Context:
    """What a segment goes on from: ids before those of its text, codes [frames, levels] before its own."""

    ids: tuple[int, ...] = ()
    codes: Tensor = field(default_factory=lambda: torch.zeros(0, LEVELS, dtype=torch.long))

    @property
    def frames(self) -> int:
        return len(self.codes)


NOTHING = Context()


def context_of(request: Request, segment: int, made: Sequence[Tensor]) -> Context:
    """The request's prefix and the latest segments, as many as it wants; `made` are the codes of all before.

    A segment that lacks levels is nothing to go on from, and hides those before it.
    """
    levels = request.max_levels
    ids: tuple[int, ...] = ()
    codes = NOTHING.codes[:, :levels]
    if request.prefix is not None:
        ids, codes = request.prefix.sentence.ids, as_tensor(request.prefix.codes)[:, :levels]
    latest: list[int] = []
    for number in reversed(range(max(0, segment - request.history), segment)):
        if made[number].shape[1] != levels or not len(made[number]):
            break
        latest.insert(0, number)
    for number in latest:
        ids = joined(ids, request.sentences[number].ids, request.between)
        codes = torch.cat([codes, made[number]])
    return Context(ids, codes)


def joined(first: Sequence[int], second: Sequence[int], between: Sequence[int] = ()) -> tuple[int, ...]:
    """Two texts as one: the first without its end id, the second without its start id."""
    if not first or not second:
        return (*first, *second)
    return (*first[:-1], *between, *second[1:])


def speech_inputs(request: Request, sentence: Sentence, language: int, context: Context = NOTHING) -> Inputs:
    """One sentence of a request as the model's input; the response so far is what it goes on from."""
    return Inputs(
        task=request.task,
        phonemes=torch.tensor(joined(context.ids, sentence.ids, request.between)),
        language=language,
        prompt=_prompt(request.task, request.prompt),
        response=_before(request.mode, context.codes) if context.frames else None,
    )


def null_inputs(request: Request, sentence: Sentence, language: int, context: Context = NOTHING) -> Inputs:
    """The same as the null pass gets it: without text and voice, or with what the request names for them.

    Text that is not there is the start id and the end id, as in training.
    """
    ids, prompt = joined(context.ids, sentence.ids, request.between), request.prompt
    match request.null.text:
        case "none":
            ids = (*ids[:1], *ids[-1:])
        case Sentence(ids=other):
            ids = other
    match request.null.voice:
        case "none":
            prompt = None
        case Prompt() as voice:
            prompt = voice
    return replace(
        speech_inputs(request, sentence, language, context),
        phonemes=torch.tensor(ids),
        prompt=_prompt(request.task, prompt),
    )


def as_tensor(codes: Codes) -> Tensor:
    """Codes as the model takes them."""
    return torch.from_numpy(codes.astype(np.int64))


def _before(mode: str, codes: Tensor) -> Tensor:
    return codes.reshape(-1, 1) if mode == "interleaved" else codes[:, :1]


def _prompt(task: str, prompt: Prompt | None) -> PromptCodes | None:
    if prompt is None:
        return None
    codes = as_tensor(prompt.codes)
    return [task, codes] if task in TASKS_WITH_TOKEN else codes
