"""Level 0, one frame a step, each from the frames before it."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace

import torch

from valle.decoding.branches import Pair, StepByStep, with_frames
from valle.decoding.decide import Situation, decide
from valle.decoding.run import Run
from valle.decoding.search import search
from valle.decoding.trail import Sought
from valle.models.ar_nar import ArNar
from valle.samplers.rows import Rows
from valle.step import Place, Step


def decode_ar(model: ArNar, pair: Pair, run: Run, segment: int) -> Iterator[Step]:
    """Yield one Step a frame until the stop token, the longest duration, or an event ends the phase.

    Each Step is handed out before the next frame is computed, so that a reader may stop and a control decide
    as late as can be.
    """
    limit = run.request.max_frames
    stop = model.config.stop
    history = torch.zeros(limit, dtype=torch.long, device=model.device)
    sampler = run.sampler("ar", 0)
    states = sampler.start(1, model.device)
    branches = StepByStep(model, pair, with_frames, limit, run.request.recipe)
    for index in range(limit):
        place = Place(segment, "ar", 0, index)
        before = run.before(place)
        if before.ending:
            yield run.notice(place, before)
            return
        begun = time.perf_counter()
        if before.events:
            sampler = run.sampler("ar", 0)
            states = sampler.carry(states, 1, model.device)
        if index == 0 and sampler.search is not None:
            yield from search(model, pair, run, Sought("ar", segment, limit, stop), before)
            return
        made = history[:index]
        observer = run.observer(place, lambda: model.layouts([pair.conditional], growing=True)[0])
        passes = branches.next(made, "null" in sampler.needs, "attention" in sampler.needs, observer)
        rows = Rows.of(
            "ar",
            seed=run.request.seed,
            segment=segment,
            step=index,
            past=made,
            stop=stop,
            null=passes.null,
            attention=passes.attention,
        )
        step, decision = decide(run, place, before, Situation(sampler, passes.conditional, rows, states))
        states = decision.states
        history[index] = decision.tokens[0]
        ended = "stop" if step.tokens[0] == stop else "length" if index == limit - 1 else None
        yield replace(step, ended=ended, seconds=time.perf_counter() - begun)
        if ended:
            return
