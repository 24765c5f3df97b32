"""Levels 1 to 7: every frame of a level in one pass, from the levels below it."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from valle.decoding.branches import Pair, Passes, in_one_pass
from valle.decoding.decide import Situation, decide
from valle.decoding.inputs import NOTHING, Context
from valle.decoding.run import Before, Run
from valle.models.ar_nar import ArNar
from valle.samplers.rows import Rows
from valle.step import Place, Step


def decode_nar(
    model: ArNar, pair: Pair, run: Run, segment: int, context: Context = NOTHING
) -> Iterator[Step]:
    """Yield one Step a level, for the levels that the request asks for above those of the rows' response.

    The frames of the `context` stand before the response's and are not decided. An event that ends the phase
    leaves the later levels unmade.
    """
    codes = pair.conditional.response
    if codes is None or not len(codes):
        return
    for level in range(codes.shape[1], run.request.max_levels):
        place = Place(segment, "nar", level, 0)
        before = run.before(place)
        if before.ending:
            yield run.notice(place, before)
            return
        begun = time.perf_counter()
        guided = "null" in run.sampler("nar", level).needs
        whole = torch.cat([context.codes[:, :level].to(codes.device), codes])
        passes = in_one_pass(model, pair.given(whole, level), run.request.recipe, guided)
        passes = passes.of_last(len(codes))
        step, tokens = decide_level(run, place, before, passes)
        codes = torch.cat([codes, tokens.to(codes.device)[:, None]], dim=1)
        yield replace(step, seconds=time.perf_counter() - begun)


def decide_level(run: Run, place: Place, before: Before, passes: Passes) -> tuple[Step, Tensor]:
    """Decide all frames of a level from the passes' logits [frames, V]; the Step and the codes [frames]."""
    logits = passes.conditional
    frames = len(logits)
    sampler = run.sampler("nar", place.level)
    rows = Rows.of(
        "nar",
        frames,
        seed=run.request.seed,
        segment=place.segment,
        level=place.level,
        position=np.arange(frames),
        null=passes.null,
    )
    states = sampler.gather(logits, rows, sampler.start(frames, logits.device))
    step, decision = decide(run, place, before, Situation(sampler, logits, rows, states))
    return step, decision.tokens
