"""Levels 1 to 7: every frame of a level in one pass, from the levels below it."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace

import torch

from valle.decoding.decide import Situation, decide
from valle.decoding.run import Run
from valle.models.ar_nar import ArNar
from valle.models.base import Inputs
from valle.samplers.rows import Rows
from valle.step import Place, Step


def decode_nar(model: ArNar, inputs: Inputs, run: Run, segment: int) -> Iterator[Step]:
    """Yield one Step a level, for the levels that the request asks for above those of `inputs.response`.

    An event that ends the phase leaves the later levels unmade.
    """
    codes = inputs.response
    if codes is None or not len(codes):
        return
    frames = len(codes)
    positions = torch.arange(frames).numpy()
    for level in range(codes.shape[1], run.request.max_levels):
        place = Place(segment, "nar", level, 0)
        before = run.before(place)
        if before.ending:
            yield run.notice(place, before)
            return
        begun = time.perf_counter()
        (logits,) = model.full([replace(inputs, level=level, response=codes)])
        sampler = run.sampler("nar", level)
        rows = Rows.of("nar", frames, seed=run.request.seed, segment=segment, level=level, position=positions)
        states = sampler.start(frames, model.device)
        step, decision = decide(run, place, before, Situation(sampler, logits, rows, states))
        codes = torch.cat([codes, decision.tokens.to(codes.device)[:, None]], dim=1)
        yield replace(step, seconds=time.perf_counter() - begun)
