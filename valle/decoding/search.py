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
from valle.decoding.reach import within_reach
from valle.decoding.run import Before, Run
from valle.decoding.trail import Sought, Trail
from valle.models.ar_nar import ArNar
from valle.samplers.rows import Rows
from valle.step import Step


def search(model: ArNar, pair: Pair, run: Run, sought: Sought, before: Before) -> Iterator[Step]:
    """Yield the winner's Steps; `before` is what the events before the first one have brought about.

    Where recorded tokens are to be fed on, the search is made again, and the recorded winner is compared with
    the one that it finds; or the recorded winner alone is checked, as the control says.
    """
    trail = Trail(run, sought)
    recorded = _recorded(run, sought)
    if recorded and not recorded[0].search_again:
        steps = _fed(model, pair, run, trail, recorded)
        ending = before if steps[-1].ended else run.before(sought.place(len(steps)))
    else:
        ending = _searched(model, pair, run, trail, before)
        steps = trail.steps(trail.best)
        steps[-1] = replace(steps[-1], others=trail.others())
        if recorded and _tokens(recorded) != _tokens(steps):
            fed = _fed(model, pair, run, trail, recorded)
            steps = _compared(trail, fed, steps, recorded)
    steps[0] = replace(steps[0], events=before.events)
    yield from steps
    if ending.ending:
        yield run.notice(sought.place(len(trail.moments) or len(steps)), ending)


def _searched(model: ArNar, pair: Pair, run: Run, trail: Trail, before: Before) -> Before:
    """Take the hypotheses to their ends, or to where an event ends the phase; what the last events were."""
    sought = trail.sought
    hypotheses = Hypotheses(model, pair, sought.limit, run.request.recipe, trail.guided)
    for index in range(sought.limit):
        if index and (before := run.before(sought.place(index))).ending:
            break
        begun = time.perf_counter()
        passes = hypotheses.go_on(trail.rows, trail.latest) if index else hypotheses.passes
        trail.decide(passes, begun)
        if trail.over:
            break
    return before


def _tokens(items: Sequence[Step] | Sequence[Guide]) -> list[int]:
    return [int(item.tokens[0]) for item in items]


def _recorded(run: Run, sought: Sought) -> list[Guide]:
    """The recorded tokens of the phase, as far as there are any."""
    found: list[Guide] = []
    for index in range(sought.limit):
        guide = run.control.guide(sought.place(index))
        if guide is None:
            break
        found.append(guide)
    return found


def _fed(model: ArNar, pair: Pair, run: Run, trail: Trail, recorded: Sequence[Guide]) -> list[Step]:
    """The Steps of recorded tokens, fed to the model as one hypothesis.

    Where hypotheses draw, each Step tells what this one draws itself; a beam has no choice of its own.
    """
    sought, sampler, device = trail.sought, trail.sampler, model.device
    hypotheses = Hypotheses(model, pair, len(recorded), run.request.recipe, trail.guided)
    passes, states = hypotheses.passes, sampler.start(1, device)
    tokens = torch.tensor(_tokens(recorded), device=device)
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
            decision = sampler.decide(
                passes.conditional,
                rows,
                states,
                measure=run.measure(sought.phase),
                forced=tokens[index : index + 1],
            )
            step = as_step(run, sought.place(index), situation, decision)
            step = replace(step, choices=step.tokens)
        states = decision.states
        seconds = time.perf_counter() - begun
        steps.append(replace(step, hypothesis=guide.hypothesis, seconds=seconds, ended=sought.ended(step)))
    return steps


def _compared(trail: Trail, fed: list[Step], winner: Sequence[Step], recorded: Sequence[Guide]) -> list[Step]:
    """The Steps of the recorded winner, where another one won this time.

    A hypothesis that draws something else itself tells of that already. One that only came out behind the
    new winner tells of where the two part. It is within reach if the new winner has left what it drew when it
    was recorded, and that is within reach; or if log-probabilities that move within the tolerance can turn
    the order round.
    """
    parting = _parting(_tokens(fed), _tokens(winner))
    if parting is None or any(step.choices[0] != step.tokens[0] for step in fed):
        return fed
    tolerance = max(guide.farthest for guide in recorded)
    near = _drifted(trail, winner, recorded[-1])
    if near is None:
        near = trail.score(fed, 2 * tolerance) >= trail.score(winner, -2 * tolerance)
    told = replace(
        fed[parting],
        choices=winner[parting].tokens,
        within_reach=np.array([near]) if tolerance > 0 else None,
    )
    return [*fed[:parting], told, *fed[parting + 1 :]]


def _drifted(trail: Trail, winner: Sequence[Step], last: Guide) -> bool | None:
    """Whether it is within reach that the new winner left what it drew when it was recorded.

    None where it did not leave it, or where nothing is known of that.
    """
    then = next((other for other in last.others if other.hypothesis == winner[0].hypothesis), None)
    if not trail.draws or then is None:
        return None
    drawn = [*then.codes.tolist(), *([trail.sought.stop] if then.stopped else [])]
    at = _parting(drawn, _tokens(winner))
    if at is None:
        return None
    situation = trail.situation(trail.best, at)
    guide = Guide(np.array([drawn[at]]), None, None, last.tolerance, relative=last.relative)
    return within_reach(
        situation.sampler,
        situation.logits,
        situation.rows,
        situation.states,
        row=0,
        replayed=int(winner[at].tokens[0]),
        guide=guide,
    )


def _parting(one: Sequence[int], other: Sequence[int]) -> int | None:
    """Where two sequences differ first, as far as both go."""
    return next((at for at, pair in enumerate(zip(one, other, strict=False)) if pair[0] != pair[1]), None)
