"""A take of speech: sentence by sentence, level 0 by AR and the others by NAR."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import torch

from valle.decoding.ar import decode_ar
from valle.decoding.nar import decode_nar
from valle.decoding.run import Run
from valle.models.ar_nar import ArNar
from valle.models.base import Inputs
from valle.request import Request, Sentence
from valle.step import Step


def decode_speech(model: ArNar, run: Run, language: int) -> Iterator[Step]:
    """Yield the Steps of all segments of the run's request; `language` is its row of the embedding."""
    for segment, sentence in enumerate(run.request.sentences):
        inputs = speech_inputs(run.request, sentence, language)
        frames: list[int] = []
        for step in decode_ar(model, inputs, run, segment):
            if len(step.tokens) and step.tokens[0] != model.config.stop:
                frames.append(int(step.tokens[0]))
            yield step
        if run.cancelled:
            return
        level_0 = torch.tensor(frames, dtype=torch.long).unsqueeze(1)
        yield from decode_nar(model, replace(inputs, response=level_0), run, segment)
        if run.cancelled:
            return


def speech_inputs(request: Request, sentence: Sentence, language: int) -> Inputs:
    """One sentence of a request as the model's input, with no response yet."""
    prompt = None
    if request.prompt is not None:
        prompt = torch.from_numpy(request.prompt.codes.astype(np.int64))
    return Inputs(task=request.task, phonemes=torch.tensor(sentence.ids), language=language, prompt=prompt)
