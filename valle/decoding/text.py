"""The phases that give numbers, phonemes or text: `len`, `stt`, `phn` and `un_phn`, id by id."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import torch
from torch import Tensor

from valle.decoding.ar import decode_ids
from valle.decoding.branches import Pair
from valle.decoding.inputs import as_tensor
from valle.decoding.run import Run
from valle.decoding.trail import Sought
from valle.models.ar_nar import ArNar
from valle.models.base import Inputs
from valle.models.config import LENGTH_TOKENS
from valle.modes import PHASE_OF_TASK
from valle.step import Step

DIGITS_START, DIGITS_STOP = 0, LENGTH_TOKENS - 1
MOST_DIGITS = 10
TEXT_START, TEXT_STOP = 1, 2
MOST_IDS = 512
"""Ids of phonemes or text that one segment can come to."""


def decode_length(model: ArNar, pair: Pair, run: Run, segment: int) -> Iterator[Step]:
    """Yield a Step a digit of the number of frames, for the texts and voices of the pair."""
    start = torch.tensor([DIGITS_START])
    rows = Pair(*(replace(row, task="len", digits=start, response=None) for row in pair.rows))
    return decode_ids(model, rows, run, Sought("len", segment, MOST_DIGITS, DIGITS_STOP), _with_digits)


def decode_text(model: ArNar, run: Run, segment: int, language: int) -> Iterator[Step]:
    """Yield a Step an id of what the task asks for: `stt` of the segment's source, else of its sentence.

    The null pass is given speech without a frame, or text without an id.
    """
    request = run.request
    given = torch.tensor(request.sentences[segment].ids, dtype=torch.long)
    start = torch.tensor([TEXT_START])
    nothing = torch.tensor([TEXT_START, TEXT_STOP])
    row = Inputs(task=request.task, language=language)
    match request.task:
        case "stt":
            codes = as_tensor(request.sources[segment].codes)
            row = replace(row, response=codes, phonemes=start)
            pair, grow = Pair(row, replace(row, response=codes[:0])), _with_phonemes
        case "phn":
            row = replace(row, text=given, phonemes=start)
            pair, grow = Pair(row, replace(row, text=nothing)), _with_phonemes
        case _:
            row = replace(row, phonemes=given, text=start)
            pair, grow = Pair(row, replace(row, phonemes=nothing)), _with_text
    phase = PHASE_OF_TASK[request.task]
    yield from decode_ids(model, pair, run, Sought(phase, segment, MOST_IDS, TEXT_STOP), grow)


def _grown(ids: Tensor | None, made: Tensor) -> Tensor:
    assert ids is not None
    return torch.cat([ids.to(made.device), made])


def _with_digits(row: Inputs, made: Tensor) -> Inputs:
    return replace(row, digits=_grown(row.digits, made))


def _with_phonemes(row: Inputs, made: Tensor) -> Inputs:
    return replace(row, phonemes=_grown(row.phonemes, made))


def _with_text(row: Inputs, made: Tensor) -> Inputs:
    return replace(row, text=_grown(row.text, made))
