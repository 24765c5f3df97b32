"""From logits to one Step: the stack decides, what was forced or recorded is fed on, evidence is kept."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from valle.control import Guide
from valle.decoding.reach import within_reach
from valle.decoding.run import Before, Run
from valle.samplers import evidence
from valle.samplers.measures import Measures
from valle.samplers.rows import Rows
from valle.samplers.sampler import Decision, Sampler, States
from valle.step import Evidence, Place, StageMeasures, Step


@dataclass(frozen=True, slots=True)
class Situation:
    """Everything that one decision of R rows is made from."""

    sampler: Sampler
    logits: Tensor
    """Raw conditional logits [R, V]."""
    rows: Rows
    states: States


def decide(run: Run, place: Place, before: Before, situation: Situation) -> tuple[Step, Decision]:
    """Decide all rows of one step; the Step still lacks why the phase ended and the time it took."""
    guide = run.control.guide(place)
    sampler, logits, rows, states = situation.sampler, situation.logits, situation.rows, situation.states
    decision = sampler.decide(
        logits, rows, states, measure=run.measure(place.phase), forced=_forced(before, guide, logits)
    )
    reach = None
    if guide is not None and guide.tolerance > 0 and not np.array_equal(decision.choice, decision.chosen):
        reach = reached(situation, decision, guide)
    step = replace(as_step(run, place, situation, decision), events=before.events, within_reach=reach)
    if run.onlooker is not None:
        run.onlooker.decided(step, situation)
    return step, decision


def as_step(run: Run, place: Place, situation: Situation, decision: Decision) -> Step:
    """What was decided of R rows, and the evidence of it; all that others know of it is still to be added."""
    logits, null = situation.logits, situation.rows.null
    return Step(
        take=run.request.take,
        place=place,
        tokens=decision.chosen.astype(np.int16),
        choices=decision.choice.astype(np.int16),
        log_probability=decision.log_probability,
        runner_up=decision.runner_up.astype(np.int16),
        margin=decision.margin.astype(np.float32),
        measures=stage_measures(decision.measures),
        evidence=_evidence(run, logits, decision.tokens, place.phase),
        null_evidence=_evidence(run, null, decision.tokens, place.phase),
    )


def _forced(before: Before, guide: Guide | None, logits: Tensor) -> Tensor | None:
    if guide is not None:
        return torch.from_numpy(guide.tokens.astype(np.int64)).to(logits.device)
    if before.forced is not None:
        return torch.full((len(logits),), before.forced, device=logits.device)
    return None


def reached(situation: Situation, decision: Decision, guide: Guide) -> NDArray[np.bool_]:
    """Which rows chose the recorded token or could have; one that could not answers for those after it."""
    reach: NDArray[np.bool_] = np.equal(decision.choice, decision.chosen)
    for row in np.flatnonzero(~reach):
        reach[row] = within_reach(
            situation.sampler,
            situation.logits,
            situation.rows,
            situation.states,
            row=int(row),
            replayed=int(decision.choice[row]),
            guide=guide,
        )
        if not reach[row]:
            break
    return reach


def _evidence(run: Run, logits: Tensor | None, tokens: Tensor, phase: str) -> Evidence | None:
    if logits is None or not run.keep_evidence:
        return None
    found = evidence.collect(logits, tokens, 0 if phase == "nar" or phase == "nar_len" else evidence.BEST)
    ids = found.best_ids if found.best_ids.size else None
    return Evidence(found.logsumexp, found.chosen, ids, found.best_logits if found.best_ids.size else None)


def stage_measures(measures: Measures | None) -> tuple[StageMeasures, ...]:
    """Measures of all points as a Step has them."""
    if measures is None:
        return ()
    return tuple(
        StageMeasures(
            stage=point,
            kept=measures.kept[index],
            removed=measures.removed[index],
            entropy=measures.entropy[index],
            varentropy=measures.varentropy[index],
            divergence=measures.divergence[index],
            rank=measures.rank[index],
            probability=measures.probability[index],
            stop_probability=measures.stop[index],
        )
        for index, point in enumerate(measures.points)
    )
