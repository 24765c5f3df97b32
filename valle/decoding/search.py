"""Searches: several hypotheses of a causal phase, of which the best one is the take.

Beam search and best of N. Steps are handed out when the winner is known, and only the winner's; the last of
them tells what became of the others. During a search only `finish` and `cancel` are taken.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np
import torch

from valle.control import Guide
from valle.decoding.branches import Pair
from valle.decoding.decide import Situation, as_step, decide
from valle.decoding.hypotheses import Hypotheses
from valle.decoding.run import Before, Run
from valle.decoding.trail import Sought, Trail
from valle.models.ar_nar import ArNar
from valle.samplers.rows import Rows
from valle.step import Step


def search(model: ArNar, pair: Pair, run: Run, sought: Sought, before: Before) -> Iterator[Step]:
    """Yield the winner's Steps; `before` is what the events before the first one have brought about.

    Where recorded tokens are to be fed on, the search is made again, and the recorded winner is compared with
    the one that it finds.
    """
    trail = Trail(run, sought)
    hypotheses = Hypotheses(model, pair, sought.limit, run.request.recipe, trail.guided)
    ending = before
    for index in range(sought.limit):
        if index:
            ending = run.before(sought.place(index))
            if ending.ending:
                break
        begun = time.perf_counter()
        passes = hypotheses.passes if index == 0 else hypotheses.go_on(trail.rows, trail.latest)
        trail.decide(passes, begun)
        if trail.over:
            break
    steps = trail.steps(trail.best)
    steps[-1] = replace(steps[-1], others=trail.others())
    recorded = _recorded(run, sought)
    if recorded and [int(guide.tokens[0]) for guide in recorded] != [int(step.tokens[0]) for step in steps]:
        steps = _checked(model, pair, run, trail, steps, recorded)
    steps[0] = replace(steps[0], events=before.events)
    yield from steps
    if ending.ending:
        yield run.notice(sought.place(len(trail.moments)), ending)


def _recorded(run: Run, sought: Sought) -> list[Guide]:
    """The recorded tokens of the phase, as far as there are any."""
    found: list[Guide] = []
    for index in range(sought.limit):
        guide = run.control.guide(sought.place(index))
        if guide is None:
            break
        found.append(guide)
    return found


def _checked(
    model: ArNar, pair: Pair, run: Run, trail: Trail, winner: Sequence[Step], recorded: Sequence[Guide]
) -> list[Step]:
    """The Steps of the recorded winner, fed to the model, where another one won this time.

    A recorded hypothesis that would have drawn something else itself is told of where it would. One that only
    came out behind another is told of where the two part; it is within reach if logits that move within the
    tolerance can turn the order round.
    """
    sought, sampler, device = trail.sought, trail.sampler, model.device
    hypotheses = Hypotheses(model, pair, len(recorded), run.request.recipe, trail.guided)
    passes, states = hypotheses.passes, sampler.start(1, device)
    tokens = torch.from_numpy(np.concatenate([guide.tokens for guide in recorded]).astype(np.int64))
    tokens = tokens.to(device)
    steps: list[Step] = []
    for index, guide in enumerate(recorded):
        begun = time.perf_counter()
        if index:
            passes = hypotheses.go_on([0], tokens[index - 1 : index])
        rows = Rows.of(
            sought.phase,
            seed=run.request.seed,
            segment=sought.segment,
            hypothesis=guide.hypothesis,
            step=index,
            past=tokens[:index],
            stop=sought.stop,
            null=passes.null,
        )
        situation = Situation(sampler, passes.conditional, rows, states)
        if trail.draws:
            step, decision = decide(run, sought.place(index), Before((), None, None), situation)
        else:
            token = tokens[index : index + 1]
            decision = sampler.decide(
                passes.conditional, rows, states, measure=run.measure(sought.phase), forced=token
            )
            step = as_step(run, sought.place(index), situation, decision)
            step = replace(step, choices=step.tokens)
        states = decision.states
        seconds = time.perf_counter() - begun
        steps.append(replace(step, hypothesis=guide.hypothesis, seconds=seconds, ended=sought.ended(step)))
    if all(np.array_equal(step.choices, step.tokens) for step in steps):
        _mark_parting(trail, steps, winner, recorded[0].farthest)
    return steps


def _mark_parting(trail: Trail, steps: list[Step], winner: Sequence[Step], tolerance: float) -> None:
    """Tell the winner's token where it parts from these steps, and whether the order is within reach."""
    pairs = zip(steps, winner, strict=False)
    at = next((index for index, (ours, other) in enumerate(pairs) if ours.tokens[0] != other.tokens[0]), None)
    if at is None:
        return
    near = np.array([trail.score(steps, 2 * tolerance) >= trail.score(winner, -2 * tolerance)])
    steps[at] = replace(steps[at], choices=winner[at].tokens, within_reach=near if tolerance > 0 else None)
