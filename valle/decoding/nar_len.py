"""Level 0 without an order: frames are masked and decided again in rounds, the least sure ones each time.

Masked generation as in MaskGIT (Chang et al. 2022, arXiv 2202.04200), with the reference's schedule.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from valle.control import Guide
from valle.decoding.branches import Pair, in_one_pass
from valle.decoding.decide import Situation, as_step, reached
from valle.decoding.inputs import NOTHING, Context
from valle.decoding.run import Before, Run
from valle.models.ar_nar import ArNar
from valle.samplers.rows import Rows
from valle.step import Place, Step

Ids = NDArray[np.int64]
Scores = NDArray[np.float64]
Mask = NDArray[np.bool_]

NEAR = 20.0
"""How many times the tolerance of a logit two confidences may be apart that numeric differences can swap:
each is a log-probability of guided logits, and both move."""


@dataclass(frozen=True, eq=False)
class Canvas:
    """Level 0 before the first round: ids [frames], and how sure of each one is: infinitely, it stays."""

    ids: Ids
    confidence: Scores

    @classmethod
    def empty(cls, frames: int, kept: Ids | None = None) -> Canvas:
        """All masked, but for the ids `kept` at the beginning, which stay as they are."""
        ids, confidence = np.zeros(frames, np.int64), np.zeros(frames)
        if kept is not None:
            ids[: len(kept)] = kept
            confidence[: len(kept)] = np.inf
        return cls(ids, confidence)

    @classmethod
    def of_source(cls, ids: Ids, seed: int, segment: int) -> Canvas:
        """Speech that is there: which of its frames are masked first is drawn."""
        place = Rows.of("nar_len", len(ids), seed=seed, segment=segment, position=np.arange(len(ids)))
        return cls(ids, np.log(place.noise("remask", 2)[:, 1]))


def decode_nar_len(
    model: ArNar, pair: Pair, run: Run, segment: int, canvas: Canvas, context: Context = NOTHING
) -> Iterator[Step]:
    """Yield one Step a round; its tokens are all frames as they are after it, the masked ones decided anew.

    The frames of the `context` stand before the canvas and are not decided. An event that ends the phase
    leaves level 0 as the latest round has made it.
    """
    plan, ids, confidence = run.request.demasking, canvas.ids, canvas.confidence
    free = int(np.isfinite(confidence).sum())
    for index, moment in enumerate(torch.linspace(plan.start, plan.end, plan.steps)):
        place = Place(segment, "nar_len", 0, index)
        before = run.before(place)
        if before.ending:
            yield run.notice(place, before)
            return
        begun = time.perf_counter()
        guide = run.control.guide(place)
        own = _masked(confidence, _count(moment, free, index))
        masked = own if guide is None or guide.masked is None else guide.masked
        if not plan.remasking:
            confidence = np.where(masked, confidence, np.inf)
        situation = _situation(model, pair, run, place, context, ids, masked)
        step = _decided(run, place, before, situation, ids, masked, guide)
        if guide is not None and (own != masked).any():
            step = _told(step, own, confidence, guide)
        ids = step.tokens.astype(np.int64)
        confidence = _confidence(run, situation, ids, confidence, float(moment))
        ended = "stop" if index == plan.steps - 1 else None
        yield replace(step, ended=ended, seconds=time.perf_counter() - begun)


def _count(moment: Tensor, frames: int, index: int) -> int:
    """How many of so many frames are masked in a round: at least one, and one fewer than before at the most.

    In single precision, as in the reference: where the product is a whole number it may come out below.
    """
    share = torch.cos(moment * math.pi * 0.5)
    return max(1, min(int(share * frames), frames - index))


def _masked(confidence: Scores, count: int) -> Mask:
    """The `count` places of least confidence; of equal ones the first."""
    masked = np.zeros(len(confidence), np.bool_)
    masked[np.argsort(confidence, kind="stable")[:count]] = True
    return masked & np.isfinite(confidence)


def _situation(
    model: ArNar, pair: Pair, run: Run, place: Place, context: Context, ids: Ids, masked: Mask
) -> Situation:
    """What all frames of a round are decided from; a row's past are the ids that stand fixed before it."""
    frames, device = len(ids), model.device
    sampler = run.sampler("nar_len", 0)
    hidden = torch.from_numpy(np.where(masked, model.config.stop, ids))[:, None]
    given = pair.given(torch.cat([context.codes[:, :1], hidden]), masked=True)
    passes = in_one_pass(model, given, run.request.recipe, "null" in sampler.needs).of_last(frames)
    rows = Rows.of(
        "nar_len",
        frames,
        seed=run.request.seed,
        segment=place.segment,
        step=place.step,
        position=np.arange(frames),
        null=passes.null,
    )
    if "history" in sampler.needs:
        fixed = torch.from_numpy(ids[~masked]).to(device)
        before: Ids = np.cumsum(~masked) - ~masked
        rows = replace(rows, past=fixed.expand(frames, -1), past_length=torch.from_numpy(before).to(device))
    states = sampler.gather(passes.conditional, rows, sampler.start(frames, device))
    return Situation(sampler, passes.conditional, rows, states)


def _decided(
    run: Run, place: Place, before: Before, situation: Situation, ids: Ids, masked: Mask, guide: Guide | None
) -> Step:
    """Decide the masked frames; the others are forced to be what they are, and are told of as chosen so."""
    recorded = np.full(len(ids), -1) if guide is None else guide.tokens.astype(np.int64)
    forced = torch.from_numpy(np.where(masked, recorded, ids)).to(situation.logits.device)
    decision = situation.sampler.decide(
        situation.logits, situation.rows, situation.states, measure=run.measure("nar_len"), forced=forced
    )
    decision = replace(decision, choice=np.where(masked, decision.choice, ids))
    reach = None
    if guide is not None and guide.tolerance > 0 and not np.array_equal(decision.choice, decision.chosen):
        reach = reached(situation, decision, guide)
    step = as_step(run, place, situation, decision)
    step = replace(step, events=before.events, within_reach=reach, masked=masked)
    if run.onlooker is not None:
        run.onlooker.decided(step, situation)
    return step


def _confidence(run: Run, situation: Situation, ids: Ids, before: Scores, moment: float) -> Scores:
    """How sure the model is of each id, as the request measures it; what stays for good is infinite."""
    plan = run.request.demasking
    sampler, logits, rows, states = situation.sampler, situation.logits, situation.rows, situation.states
    if plan.confidence_of != "raw":
        points = sampler.stages(logits, rows, states)
        name = list(points)[-1] if plan.confidence_of == "final" else "guidance"
        logits = points.get(name, logits)
    log_probability = logits.double().log_softmax(-1)
    if plan.confidence == "best":
        sure = log_probability.amax(-1)
    else:
        sure = log_probability.gather(-1, torch.from_numpy(ids).to(logits.device)[:, None])[:, 0]
    scores: Scores = sure.cpu().numpy()
    if plan.noise > 0.0:
        scores = scores + plan.noise * (1.0 - moment) * rows.gumbel("remask", 1)[:, 0]
    return np.where(np.isposinf(before), np.inf, scores)


def _told(step: Step, own: Mask, confidence: Scores, guide: Guide) -> Step:
    """The Step of a round whose recorded mask is not the one that this run would have taken.

    A frame that only one of the two decides has the choice -1; it is within reach if its confidence is about
    that of the last frame that this run would have masked.
    """
    assert step.masked is not None
    last = confidence[own].max(initial=-np.inf)
    near = np.abs(confidence - last) <= NEAR * guide.tolerance
    odd = own != step.masked
    reach = step.choices == step.tokens if step.within_reach is None else step.within_reach
    return replace(
        step,
        choices=np.where(odd, -1, step.choices).astype(np.int16),
        within_reach=np.where(odd, near, reach) if guide.tolerance > 0 else None,
    )
