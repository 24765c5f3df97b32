"""A second look at level 0 after its stop: every frame decided once more, and the likelier version kept."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from valle.decoding.branches import Pair, Passes, in_one_pass, with_frames
from valle.decoding.decide import Situation, as_step, reached
from valle.decoding.run import Run
from valle.errors import UserError
from valle.models.ar_nar import ArNar
from valle.samplers.rows import Rows
from valle.samplers.sampler import Decision
from valle.step import Alternative, Place, Step

REFINED = 32_767
"""The hypothesis whose noise the second decisions have: it is that of the AR, and no search has so many."""


@dataclass(frozen=True, eq=False)
class Version:
    """Level 0 [frames], what follows each of its frames, and how likely it is, stop included."""

    frames: Tensor
    passes: Passes
    """[frames + 1, V]; the first row is what the first frame is decided from."""
    score: float
    """Mean raw log-probability of its decisions, in nats."""


def refined(model: ArNar, pair: Pair, run: Run, segment: int, frames: Sequence[int]) -> Iterator[Step]:
    """Yield the one Step of the phase `refine`, or a notice where an event ends it.

    The rows of one pass over the original are decided by the AR's stack as if its frames had been taken; a
    row that would stop keeps its frame. Tokens are the version that is kept: its hypothesis is 0 for the
    original and REFINED for the new one, and the other one is told of in `others`. Raises UserError for a
    stack that searches or looks at attention.
    """
    place = Place(segment, "refine", 0, 0)
    before = run.before(place)
    if before.ending:
        yield run.notice(place, before)
        return
    begun = time.perf_counter()
    check_refinable(run)
    original = _version(model, pair, run, torch.tensor(frames, device=model.device))
    situation = _situation(run, segment, original, model.config.stop)
    decision = situation.sampler.along(situation.logits, situation.rows, original.frames, situation.states)
    stops = decision.tokens == model.config.stop
    second = _version(model, pair, run, torch.where(stops, original.frames, decision.tokens))
    step = _kept(run, place, situation, decision, original, second)
    yield replace(step, events=before.events, seconds=time.perf_counter() - begun)


def check_refinable(run: Run) -> None:
    """Raise UserError for a stack of the AR that cannot decide all frames at once."""
    sampler = run.sampler("ar", 0)
    if sampler.search is not None or "attention" in sampler.needs:
        reason = "searches" if sampler.search is not None else "looks at attention"
        raise UserError(f"All frames are decided at once to refine them, but the AR's stack {reason}.")


def _version(model: ArNar, pair: Pair, run: Run, frames: Tensor) -> Version:
    guided = "null" in run.sampler("ar", 0).needs
    grown = Pair(with_frames(pair.conditional, frames), with_frames(pair.null, frames))
    passes = in_one_pass(model, grown, run.request.recipe, guided).of_last(len(frames) + 1)
    taken = torch.cat([frames, frames.new_tensor([model.config.stop])])
    likely = passes.conditional.double().log_softmax(-1).gather(-1, taken[:, None])
    return Version(frames, passes, float(likely.mean()))


def _situation(run: Run, segment: int, original: Version, stop: int) -> Situation:
    """The decisions of all frames, with noise of their own and the past that the original had at each."""
    count = len(original.frames)
    sampler, passes = run.sampler("ar", 0), original.passes
    rows = Rows.of(
        "ar",
        count,
        seed=run.request.seed,
        segment=segment,
        hypothesis=REFINED,
        step=np.arange(count),
        past=original.frames,
        past_length=torch.arange(count, device=original.frames.device),
        stop=stop,
        null=None if passes.null is None else passes.null[:count],
    )
    return Situation(sampler, passes.conditional[:count], rows, sampler.start(1, original.frames.device))


def _kept(
    run: Run, place: Place, situation: Situation, decision: Decision, original: Version, second: Version
) -> Step:
    """The version of the higher score as a Step, or the recorded one, with what this run would have kept."""
    guide = run.control.guide(place)
    own = second if second.score > original.score else original
    was_second = own is second if guide is None else guide.hypothesis == REFINED
    choice = own.frames.cpu().numpy()
    chosen = choice if guide is None else guide.tokens.astype(np.int64)
    tokens = torch.from_numpy(chosen).to(situation.logits.device)
    told = replace(decision, tokens=tokens, chosen=chosen, choice=choice)
    reach = None
    if guide is not None and guide.tolerance > 0 and not np.array_equal(choice, chosen):
        if was_second == (own is second):
            reach = reached(situation, told, guide)
        else:
            near = abs(second.score - original.score) <= 4 * guide.farthest
            reach = np.full(len(chosen), near)
    left = original if was_second else second
    alternative = Alternative(
        codes=left.frames.cpu().numpy().astype(np.int16),
        log_probability=left.score * (len(left.frames) + 1),
        score=left.score,
        stopped=True,
        hypothesis=0 if was_second else REFINED,
    )
    step = as_step(run, place, situation, told)
    hypothesis = REFINED if was_second else 0
    return replace(step, hypothesis=hypothesis, within_reach=reach, ended="stop", others=(alternative,))
