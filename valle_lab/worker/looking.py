"""From what is kept of a decision to what is shown of it."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from valle.samplers.candidates import candidates
from valle.samplers.measures import measure
from valle.samplers.rows import Rows
from valle.samplers.sampler import States, pick
from valle_lab.views import CandidateTable, Histogram, Look, StageView, StepView
from valle_lab.worker.memory import Kept


@torch.inference_mode()
def step_view(kept: Kept, look: Look) -> StepView:
    """Everything about one decision at the position that is looked at, clamped to those that there are."""
    positions = len(kept.tokens)
    position = min(max(look.position, 0), positions - 1)
    situation, token = kept.situation, int(kept.tokens[position])
    sampler, rows = situation.sampler, situation.rows
    logits, states = situation.logits[position : position + 1], situation.states
    if positions > 1:
        rows, states = rows.pick([position]), pick(states, torch.tensor([position]))
    stages = sampler.stages(logits, rows, states)
    raw, final = (stages[point][0].cpu().numpy() for point in (sampler.points[0], sampler.points[-1]))
    return StepView(
        take=look.take,
        place=kept.place,
        position=position,
        positions=positions,
        token=token,
        choice=int(kept.choices[position]),
        runner_up=int(kept.runner_up[position]),
        margin=float(kept.margin[position]),
        log_probability=float(kept.log_probability[position]),
        chooser=sampler.effective[-1].key,
        stop=rows.stop,
        remade=kept.remade,
        waterfall=_waterfall(kept, stages, token, rows),
        histogram=histogram(raw, final, token, rows.stop, look.bins),
        candidates=_table(kept, logits, rows, states, look.candidates),
    )


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


def _waterfall(kept: Kept, stages: dict[str, Tensor], token: int, rows: Rows) -> tuple[StageView, ...]:
    """One line for raw and one for each stage of the list, those that do nothing included."""
    points = tuple(stages)
    measures = measure(points, list(stages.values()), torch.tensor([token]), rows.stop)
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
    for stage in kept.situation.sampler.effective[:-1]:
        runs = stage.key in stages
        before, index = index, index + runs
        lines.append(line(stage.key, index, before, runs))
    return tuple(lines)


def _table(kept: Kept, logits: Tensor, rows: Rows, states: States, count: int) -> CandidateTable:
    table = candidates(kept.situation.sampler, logits, rows, states, count=count)
    return CandidateTable(
        points=table.points,
        ids=table.ids.astype(np.int32),
        logit=table.logit.astype(np.float32),
        probability=table.probability.astype(np.float32),
        cumulative=table.cumulative.astype(np.float32),
    )
