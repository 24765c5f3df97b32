"""Level 0, one frame a step, each from the frames before it; and all else that is written id by id."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace

import torch

from valle.decoding.branches import Grow, Pair, step_by_step, with_frames
from valle.decoding.decide import Situation, decide
from valle.decoding.early_exit import decode_early
from valle.decoding.resumed import Branches
from valle.decoding.run import Run
from valle.decoding.search import search
from valle.decoding.trail import Sought
from valle.models.ar_nar import ArNar
from valle.request import LEVELS
from valle.samplers.rows import Rows
from valle.step import Step


def decode_ar(model: ArNar, pair: Pair, run: Run, segment: int, limit: int | None = None) -> Iterator[Step]:
    """Yield one Step a frame until the stop token, the longest duration, or an event ends the phase.

    `limit` is the most frames, by default what the request allows.
    """
    frames = run.request.max_frames if limit is None else limit
    sought = Sought("ar", segment, frames, model.config.stop)
    if run.request.mode == "interleaved":
        sought = replace(sought, limit=frames * LEVELS)
        return decode_ids(model, pair, run, sought, with_frames, codebooks=LEVELS)
    return decode_ids(model, pair, run, sought, with_frames)


def decode_ids(
    model: ArNar, pair: Pair, run: Run, sought: Sought, grow: Grow, codebooks: int = 1
) -> Iterator[Step]:
    """Yield one Step an id of a phase that goes on from what it has written; `grow` puts that into a row.

    Of so many `codebooks` in turn the stack sees the past of the one that is next.

    Each Step is handed out before the next id is computed, so that a reader may stop and a control decide as
    late as can be.
    """
    phase, limit, stop = sought.phase, sought.limit, sought.stop
    if run.request.recipe.early_exit is not None and phase == "ar":
        yield from decode_early(model, pair, run, sought, grow)
        return
    history = torch.zeros(limit, dtype=torch.long, device=model.device)
    sampler = run.sampler(phase, 0)
    states = sampler.start(1, model.device)
    branches: Branches = step_by_step(model, pair, grow, limit, run.request.recipe)
    if run.onlooker is not None:
        branches = run.onlooker.begins(sought.place(0), branches)
    for index in range(limit):
        place = sought.place(index)
        before = run.before(place)
        if before.ending:
            yield run.notice(place, before)
            return
        begun = time.perf_counter()
        if before.events:
            sampler = run.sampler(phase, 0)
            states = sampler.carry(states, 1, model.device)
        if index == 0 and sampler.search is not None:
            yield from search(model, pair, run, sought, before)
            return
        made = history[:index]
        observer = run.observer(place, lambda: model.layouts([pair.conditional], growing=True)[0])
        passes = branches.next(made, "null" in sampler.needs, "attention" in sampler.needs, observer)
        rows = Rows.of(
            phase,
            seed=run.request.seed,
            segment=sought.segment,
            step=index,
            past=made[index % codebooks :: codebooks],
            stop=stop,
            null=passes.null,
            attention=passes.attention,
        )
        step, decision = decide(run, place, before, Situation(sampler, passes.conditional, rows, states))
        states = decision.states
        history[index] = decision.tokens[0]
        ended = sought.ended(step)
        yield replace(step, ended=ended, seconds=time.perf_counter() - begun)
        if ended:
            return
