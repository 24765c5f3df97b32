"""Levels 1 to 7: every frame of a level in one pass, from the levels below it."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace

import torch

from valle.decoding.branches import Pair, in_one_pass
from valle.decoding.decide import Situation, decide
from valle.decoding.run import Run
from valle.models.ar_nar import ArNar
from valle.samplers.rows import Rows
from valle.step import Place, Step


def decode_nar(model: ArNar, pair: Pair, run: Run, segment: int) -> Iterator[Step]:
    """Yield one Step a level, for the levels that the request asks for above those of the rows' response.

    An event that ends the phase leaves the later levels unmade.
    """
    codes = pair.conditional.response
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
        sampler = run.sampler("nar", level)
        guided = "null" in sampler.needs
        passes = in_one_pass(model, pair.given(codes, level), run.request.recipe, guided)
        rows = Rows.of(
            "nar",
            frames,
            seed=run.request.seed,
            segment=segment,
            level=level,
            position=positions,
            null=passes.null,
        )
        logits = passes.conditional
        states = sampler.gather(logits, rows, sampler.start(frames, model.device))
        step, decision = decide(run, place, before, Situation(sampler, logits, rows, states))
        codes = torch.cat([codes, decision.tokens.to(codes.device)[:, None]], dim=1)
        yield replace(step, seconds=time.perf_counter() - begun)
