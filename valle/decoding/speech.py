"""A take of speech: sentence by sentence, level 0 by AR and the others by NAR."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import torch

from valle.decoding.ar import decode_ar
from valle.decoding.branches import Pair
from valle.decoding.nar import decode_nar
from valle.decoding.run import Run
from valle.models.ar_nar import ArNar
from valle.models.base import Inputs
from valle.request import Prompt, Request, Sentence
from valle.step import Step


def decode_speech(model: ArNar, run: Run, language: int) -> Iterator[Step]:
    """Yield the Steps of all segments of the run's request; `language` is its row of the embedding."""
    for segment, sentence in enumerate(run.request.sentences):
        pair = Pair(
            speech_inputs(run.request, sentence, language), null_inputs(run.request, sentence, language)
        )
        frames: list[int] = []
        for step in decode_ar(model, pair, run, segment):
            if len(step.tokens) and step.tokens[0] != model.config.stop:
                frames.append(int(step.tokens[0]))
            yield step
        if run.cancelled:
            return
        level_0 = torch.tensor(frames, dtype=torch.long).unsqueeze(1)
        yield from decode_nar(model, pair.given(level_0), run, segment)
        if run.cancelled:
            return


def speech_inputs(request: Request, sentence: Sentence, language: int) -> Inputs:
    """One sentence of a request as the model's input, with no response yet."""
    return Inputs(
        task=request.task,
        phonemes=torch.tensor(sentence.ids),
        language=language,
        prompt=_codes(request.prompt),
    )


def null_inputs(request: Request, sentence: Sentence, language: int) -> Inputs:
    """The same as the null pass gets it: without text and voice, or with what the request names for them.

    Text that is not there is the start id and the end id, as in training.
    """
    ids, prompt = sentence.ids, request.prompt
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
        speech_inputs(request, sentence, language), phonemes=torch.tensor(ids), prompt=_codes(prompt)
    )


def _codes(prompt: Prompt | None) -> torch.Tensor | None:
    return None if prompt is None else torch.from_numpy(prompt.codes.astype(np.int64))
