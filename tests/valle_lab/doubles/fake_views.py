"""Views of steps that nobody decided: the right shapes, plausible numbers, the same each time. No torch."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from valle.request import Codes, Request
from valle.step import Place, Step
from valle.whatif import WhatIf
from valle_lab.views import (
    Alignment,
    AttentionLook,
    AttentionView,
    CandidateTable,
    HeadView,
    Histogram,
    Look,
    Reader,
    StageView,
    StepView,
    TakeLook,
)

STAGES = ("raw", "top_k", "min_p", "temperature")


def step_view(look: Look, place: Place) -> StepView:
    """Of 1025 ids with a bell of logits; top-k keeps 50, min-p does nothing, the temperature is 0.7."""
    random = np.random.default_rng([place.segment, place.level, place.step, look.position])
    raw = random.normal(0, 2, 1025).astype(np.float32)
    kept = np.where(raw >= np.sort(raw)[-50], raw, -np.inf).astype(np.float32)
    logits = {"raw": raw, "top_k": kept, "temperature": kept / np.float32(0.7)}
    token = int(random.choice(1025, p=_softmax(logits["temperature"])))
    return StepView(
        take=look.take,
        place=place,
        position=look.position,
        positions=1 if place.phase == "ar" else 100,
        token=token,
        choice=token,
        runner_up=int(np.argsort(-raw)[1]),
        margin=0.25,
        log_probability=float(np.log(_softmax(logits["temperature"])[token])),
        chooser="draw",
        stop=1024 if place.phase == "ar" else None,
        remade=False,
        supposed=look.stack is not None,
        waterfall=_waterfall(logits, token),
        histogram=_histogram(raw, logits["temperature"], token, look.bins),
        candidates=_table(logits, look.candidates),
    )


def attention_view(look: AttentionLook, request: Request, level_0: Codes) -> AttentionView:
    """Of 3 layers with 4 heads; head 1 of layer 2 reads along."""
    symbols = tuple(f"{letter}" for letter in request.sentences[look.segment or 0].phonemes)
    rows, columns = len(level_0) + 1, len(symbols)
    row = rows - 1 if look.row is None else min(look.row, rows - 1)
    random = np.random.default_rng([row, 1])
    shares = random.dirichlet([1, 1, 1, 1], (3, 4))[..., :3].astype(np.float32)
    path = np.minimum(np.arange(rows) // 2, columns - 1).astype(np.int32)
    reading = np.full((rows, columns), 0.02, np.float32)
    reading[np.arange(rows), path] = 0.7
    head = None
    if look.layer is not None and look.head is not None:
        prompt = np.full(75 if request.prompt else 0, 0.001, np.float32)
        head = HeadView(look.layer, look.head, reading[row], prompt, np.full(row, 0.001, np.float32))
    readers = (Reader(2, 1, 0.6), Reader(0, 3, 0.05))
    return AttentionView(
        take=look.take,
        segment=look.segment or 0,
        row=row,
        rows=rows,
        symbols=symbols,
        shares=shares,
        head=head,
        alignment=Alignment(readers, reading, path) if look.aligned else None,
    )


def what_if(look: TakeLook, steps: Sequence[Step]) -> WhatIf:
    """Every fifth decision of level 0 would be the next id."""
    made = [step for step in steps if step.place.phase == "ar" and len(step.tokens)]
    tokens = np.array([int(step.tokens[0]) for step in made], np.int16)
    rows = np.arange(len(made))
    other = (rows % 5 == 4) & (look.stack is not None)
    return WhatIf(
        take=look.take,
        segment=np.array([step.place.segment for step in made], np.int64),
        step=np.array([step.place.step for step in made], np.int64),
        tokens=tokens,
        choices=tokens + other.astype(np.int16),
        runner_up=tokens,
        margin=np.full(len(made), 0.5, np.float32),
        log_probability=np.full(len(made), -1.0, np.float32),
        exact=rows <= 4,
        first=look.first,
    )


def _waterfall(logits: dict[str, np.ndarray], token: int) -> tuple[StageView, ...]:
    lines: list[StageView] = []
    raw = _softmax(logits["raw"])
    for stage in STAGES:
        runs = stage in logits
        probability = _softmax(logits[stage]) if runs else _softmax(logits[lines[-1].stage])
        live = probability > 0
        surprise = -np.log2(probability[live])
        entropy = float((probability[live] * surprise).sum())
        rank = int((probability > probability[token]).sum())
        lines.append(
            StageView(
                stage=stage,
                runs=runs,
                kept=int(live.sum()),
                removed=float(raw[~live].sum()) if stage == "top_k" else 0.0,
                entropy=entropy,
                varentropy=float((probability[live] * (surprise - entropy) ** 2).sum()),
                divergence=float((probability[live] * np.log2(probability[live] / raw[live])).sum()),
                rank_before=lines[-1].rank if lines else rank,
                rank=rank,
                probability=float(probability[token]),
                stop_probability=float(probability[1024]),
                top=float(probability.max()),
            )
        )
    return tuple(lines)


def _histogram(raw: np.ndarray, final: np.ndarray, token: int, bins: int) -> Histogram:
    finite = final[np.isfinite(final)]
    edges = np.linspace(min(raw.min(), finite.min()), max(raw.max(), finite.max()), bins + 1)
    return Histogram(
        edges=edges.astype(np.float32),
        raw=np.histogram(raw, edges)[0].astype(np.int32),
        final=np.histogram(finite, edges)[0].astype(np.int32),
        raw_banned=0,
        final_banned=int(np.isneginf(final).sum()),
        chosen=(float(raw[token]), float(final[token])),
        stop=(float(raw[1024]), float(final[1024])),
    )


def _table(logits: dict[str, np.ndarray], count: int) -> CandidateTable:
    table = np.stack(list(logits.values()))
    probability = np.stack([_softmax(line) for line in table]).astype(np.float32)
    ids = np.lexsort((-probability[0], -probability[-1]))[:count]
    return CandidateTable(
        points=tuple(logits),
        ids=ids.astype(np.int32),
        logit=table[:, ids],
        probability=probability[:, ids],
        cumulative=probability[-1, ids].cumsum(),
    )


def _softmax(logits: np.ndarray) -> np.ndarray:
    weights = np.exp(logits.astype(np.float64) - logits.max())
    return weights / weights.sum()
