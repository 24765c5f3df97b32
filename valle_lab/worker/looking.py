"""From what is kept of a decision to what is shown of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from valle.errors import UserError
from valle.samplers.candidates import candidates
from valle.samplers.measures import measure
from valle.samplers.rows import Rows
from valle.samplers.sampler import Sampler, States, pick
from valle.samplers.stack import Stack
from valle_lab.views import CandidateTable, Histogram, Look, StageView, StepView
from valle_lab.worker.take_memory import Kept


@dataclass(frozen=True, slots=True)
class _Decided:
    """One row of a decision: what it was made from, and what came of it."""

    sampler: Sampler
    logits: Tensor
    """[1, V]"""
    rows: Rows
    states: States
    choice: int
    runner_up: int
    margin: float
    log_probability: float


@torch.inference_mode()
def step_view(kept: Kept, look: Look) -> StepView:
    """Everything about one decision at the position that is looked at, clamped to those that there are.

    With another stack in `look`, what that would have made of it. Raises UserError where it cannot be known.
    """
    position = min(max(look.position, 0), len(kept.tokens) - 1)
    row = _as_it_was(kept, position) if look.stack is None else _supposed(kept, position, look.stack)
    token = int(kept.tokens[position]) if look.stack is None else row.choice
    sampler, stop = row.sampler, row.rows.stop
    stages = sampler.stages(row.logits, row.rows, row.states)
    raw, final = (stages[point][0].cpu().numpy() for point in (sampler.points[0], sampler.points[-1]))
    return StepView(
        take=look.take,
        place=kept.place,
        position=position,
        positions=len(kept.tokens),
        token=int(kept.tokens[position]),
        choice=row.choice,
        runner_up=row.runner_up,
        margin=row.margin,
        log_probability=row.log_probability,
        chooser=sampler.effective[-1].key,
        stop=stop,
        remade=kept.remade,
        supposed=look.stack is not None,
        waterfall=_waterfall(sampler, stages, token, stop),
        histogram=histogram(raw, final, token, stop, look.bins),
        candidates=_table(row, look.candidates),
    )


def _as_it_was(kept: Kept, position: int) -> _Decided:
    situation = kept.situation
    rows, states = _one(situation.rows, situation.states, position, len(kept.tokens))
    return _Decided(
        situation.sampler,
        situation.logits[position : position + 1],
        rows,
        states,
        int(kept.choices[position]),
        int(kept.runner_up[position]),
        float(kept.margin[position]),
        float(kept.log_probability[position]),
    )


def _supposed(kept: Kept, position: int, stack: Mapping[str, Any]) -> _Decided:
    """What another stack chooses there. Stages that keep a state and were not in the stack begin afresh."""
    situation, place = kept.situation, kept.place
    sampler, count = Sampler(Stack.from_dict(stack), place.phase, place.level), len(kept.tokens)
    if sampler.search is not None:
        raise UserError(
            f"{sampler.search.key} decides over several steps; one step does not tell what it does."
        )
    for need, there in (("null", situation.rows.null), ("attention", situation.rows.attention)):
        if need in sampler.needs and there is None:
            raise UserError(
                f"{kept.place}: this take was made without the {need} pass that the stack asks for."
            )
    states = sampler.carry(situation.states, count, situation.logits.device)
    if count > 1:
        states = sampler.gather(situation.logits, situation.rows, states)
    rows, states = _one(situation.rows, states, position, count)
    logits = situation.logits[position : position + 1]
    decision = sampler.decide(logits, rows, states, measure="none")
    return _Decided(
        sampler,
        logits,
        rows,
        states,
        int(decision.choice[0]),
        int(decision.runner_up[0]),
        float(decision.margin[0]),
        float(decision.log_probability[0]),
    )


def _one(rows: Rows, states: States, position: int, count: int) -> tuple[Rows, States]:
    """The row of one position; of one row alone, itself."""
    if count == 1:
        return rows, states
    return rows.pick([position]), pick(states, torch.tensor([position]))


def histogram(raw: np.ndarray, final: np.ndarray, token: int, stop: int | None, bins: int) -> Histogram:
    """Logits [V] before and after the stack, counted in bins from the lowest finite one to the highest."""
    both = np.concatenate([raw, final])
    finite = both[np.isfinite(both)]
    low, high = float(finite.min()), float(finite.max())
    edges = np.linspace(low, high if high > low else low + 1.0, bins + 1)
    counts = [np.histogram(values[np.isfinite(values)], edges)[0] for values in (raw, final)]
    marked = None if stop is None or stop >= len(raw) else (float(raw[stop]), float(final[stop]))
    return Histogram(
        edges=edges.astype(np.float32),
        raw=counts[0].astype(np.int32),
        final=counts[1].astype(np.int32),
        raw_banned=int(np.isneginf(raw).sum()),
        final_banned=int(np.isneginf(final).sum()),
        chosen=(float(raw[token]), float(final[token])),
        stop=marked,
    )


def _waterfall(
    sampler: Sampler, stages: dict[str, Tensor], token: int, stop: int | None
) -> tuple[StageView, ...]:
    """One line for raw and one for each stage of the list, those that do nothing included."""
    points = tuple(stages)
    measures = measure(points, list(stages.values()), torch.tensor([token]), stop)
    tops = [float(logits.softmax(-1).amax()) for logits in stages.values()]

    def line(stage: str, index: int, before: int, runs: bool) -> StageView:
        return StageView(
            stage=stage,
            runs=runs,
            kept=int(measures.kept[index, 0]),
            removed=float(measures.removed[index, 0]) if runs else 0.0,
            entropy=float(measures.entropy[index, 0]),
            varentropy=float(measures.varentropy[index, 0]),
            divergence=float(measures.divergence[index, 0]),
            rank_before=int(measures.rank[before, 0]),
            rank=int(measures.rank[index, 0]),
            probability=float(measures.probability[index, 0]),
            stop_probability=float(measures.stop[index, 0]),
            top=tops[index],
        )

    lines, index = [line("raw", 0, 0, True)], 0
    for stage in sampler.effective[:-1]:
        runs = stage.key in stages
        before, index = index, index + runs
        lines.append(line(stage.key, index, before, runs))
    return tuple(lines)


def _table(row: _Decided, count: int) -> CandidateTable:
    table = candidates(row.sampler, row.logits, row.rows, row.states, count=count)
    return CandidateTable(
        points=table.points,
        ids=table.ids.astype(np.int32),
        logit=table.logit.astype(np.float32),
        probability=table.probability.astype(np.float32),
        cumulative=table.cumulative.astype(np.float32),
    )
