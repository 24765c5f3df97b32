"""Steps as the columns of a trace, and back: a whole phase in a session, one step in a journal."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
from numpy.typing import NDArray

from valle.errors import UserError
from valle.step import Alternative, Evidence, Place, StageMeasures, Step, stage_names
from valle_lab.session import schema
from valle_lab.session.base import DType, array_document

COUNTS = ("kept", "rank")
CURVES = ("removed", "entropy", "varentropy", "divergence", "probability", "stop_probability")
EARLY = ("exit_layer", "drafted")
FINEST = np.finfo(np.float16)


def trace_document(steps: Sequence[Step]) -> dict[str, Any]:
    """The decisions of one phase of a segment, in order, as the JSON form of a `schema.Trace`.

    Measures of phases that decide all frames at once are kept in half precision: they are many, and are
    looked at, never judged. The numbers are not checked: a journal has no time for it while a take is made.
    Raises UserError if a step has no evidence, or other positions than the first.
    """
    for step in steps:
        if step.evidence is None:
            raise UserError(
                f"The step {step.place} was made without evidence, so that no replay could be judged."
            )
        if step.tokens.shape != steps[0].tokens.shape:
            raise UserError(f"The step {step.place} decides other positions than those before it.")
    tokens = _rows([step.tokens for step in steps])
    choices = _rows([step.choices for step in steps])
    guided = [row for row, step in enumerate(steps) if step.null_evidence is not None]
    null = _evidence_columns([step.null_evidence for step in steps if step.null_evidence is not None])
    return {
        "phase": steps[0].place.phase,
        "tokens": array_document(tokens, "int16"),
        "choices": None if (tokens == choices).all() else array_document(choices, "int16"),
        "log_probability": _column([step.log_probability for step in steps], tokens.shape, "float32"),
        "runner_up": _column([step.runner_up for step in steps], tokens.shape, "int16"),
        "margin": _column([step.margin for step in steps], tokens.shape, "float32"),
        "seconds": array_document(np.array([step.seconds for step in steps]), "float32"),
        "ended": steps[-1].ended,
        "evidence": _evidence_columns([step.evidence for step in steps if step.evidence is not None]),
        "null_evidence": {"rows": array_document(np.array(guided), "int32"), **null} if guided else None,
        "measures": _measures(steps, tokens.shape),
        **_searched(steps),
    }


def steps_of(trace: schema.Trace, take: str, segment: int) -> list[Step]:
    """The Steps of a trace, without their events. Their arrays are not to be written to."""
    tokens = trace.tokens.values()
    choices = trace.choices.values() if trace.choices else tokens
    log_probability, runner_up = trace.log_probability.values(), trace.runner_up.values()
    margin, seconds = trace.margin.values(), trace.seconds.values()
    evidence = _evidence_rows(trace.evidence)
    null = trace.null_evidence
    null_evidence = dict(zip(null.rows.values().tolist(), _evidence_rows(null), strict=True)) if null else {}
    measures = _measures_rows(trace.measures, len(tokens))
    masked = None if trace.masked is None else trace.masked.values().astype(np.bool_)
    nought = np.zeros(len(tokens), np.int16)
    hypothesis = trace.hypothesis.values() if trace.hypothesis else nought
    exit_layer = trace.exit_layer.values() if trace.exit_layer else nought
    drafted = trace.drafted.values() if trace.drafted else nought
    return [
        Step(
            take=take,
            place=_place(trace.phase, segment, row),
            tokens=tokens[row],
            choices=choices[row],
            hypothesis=int(hypothesis[row]),
            exit_layer=int(exit_layer[row]),
            drafted=int(drafted[row]),
            others=_others(trace) if row == len(tokens) - 1 else (),
            masked=None if masked is None else masked[row],
            ended=trace.ended if row == len(tokens) - 1 else None,
            log_probability=log_probability[row],
            runner_up=runner_up[row],
            margin=margin[row],
            measures=measures[row],
            evidence=evidence[row],
            null_evidence=null_evidence.get(row),
            seconds=float(seconds[row]),
        )
        for row in range(len(tokens))
    ]


def _searched(steps: Sequence[Step]) -> dict[str, Any]:
    """What a search or a demasking has left; nothing where there was none."""
    hypothesis = np.array([step.hypothesis for step in steps])
    document: dict[str, Any] = {"hypothesis": array_document(hypothesis, "int16")} if hypothesis.any() else {}
    for name in EARLY:
        column = np.array([getattr(step, name) for step in steps])
        document |= {name: array_document(column, "int16")} if column.any() else {}
    masked = [step.masked for step in steps if step.masked is not None]
    if len(masked) == len(steps):
        document["masked"] = array_document(_rows(masked), "int16")
    if others := [other for step in steps for other in step.others]:
        document["others"] = [
            {**asdict(other), "codes": array_document(other.codes, "int16")} for other in others
        ]
    return document


def _others(trace: schema.Trace) -> tuple[Alternative, ...]:
    return tuple(
        Alternative(other.codes.values(), other.log_probability, other.score, other.stopped, other.hypothesis)
        for other in trace.others
    )


def _place(phase: str, segment: int, row: int) -> Place:
    return Place(segment, "nar", row + 1, 0) if phase == "nar" else Place(segment, phase, 0, row)


def _rows(arrays: Sequence[NDArray[Any]]) -> NDArray[Any]:
    return arrays[0][None] if len(arrays) == 1 else np.stack(arrays)


def _column(arrays: Sequence[NDArray[Any]], shape: tuple[int, ...], dtype: DType) -> dict[str, Any]:
    """[rows, positions]; zeros where a step came without this number."""
    column = np.zeros(shape, dtype)
    for row, array in zip(column, arrays, strict=True):
        if array.size:
            row[:] = array
    return array_document(column, dtype)


def _evidence_columns(items: Sequence[Evidence]) -> dict[str, Any]:
    """Columns [rows, positions], and [rows, positions, best] where the best logits were kept."""
    if not items:
        return {}
    columns = {
        "logsumexp": array_document(_rows([item.logsumexp for item in items]), "float32"),
        "chosen": array_document(_rows([item.chosen for item in items]), "float32"),
    }
    ids = [item.top_ids for item in items if item.top_ids is not None and item.top_ids.size]
    logits = [item.top_logits for item in items if item.top_logits is not None and item.top_logits.size]
    if len(ids) == len(logits) == len(items):
        columns["top_ids"] = array_document(_rows(ids), "int16")
        columns["top_logits"] = array_document(_rows(logits), "float32")
    return columns


def _evidence_rows(evidence: schema.Evidence) -> list[Evidence]:
    logsumexp, chosen = evidence.logsumexp.values(), evidence.chosen.values()
    ids = evidence.top_ids.values() if evidence.top_ids else None
    logits = evidence.top_logits.values() if evidence.top_logits else None
    return [
        Evidence(
            logsumexp[row],
            chosen[row],
            None if ids is None else ids[row],
            None if logits is None else logits[row],
        )
        for row in range(len(logsumexp))
    ]


def _measures(steps: Sequence[Step], shape: tuple[int, ...]) -> dict[str, Any]:
    """Every stage that was there at any step, in the order in which they first came up."""
    stages = stage_names(steps)
    index = {stage: at for at, stage in enumerate(stages)}
    columns = {name: np.zeros((len(stages), *shape), np.float32) for name in (*COUNTS, *CURVES)}
    for row, step in enumerate(steps):
        for measured in step.measures:
            at = index[measured.stage]
            for name, column in columns.items():
                column[at, row] = getattr(measured, name)
    curve: DType = "float32" if shape[1] == 1 else "float16"
    document: dict[str, Any] = {"stages": stages}
    for name, column in columns.items():
        if name == "stop_probability" and np.isnan(column).any():
            document[name] = None
        elif name in COUNTS:
            document[name] = array_document(column, "int16")
        else:
            finite = column if curve == "float32" else column.clip(FINEST.min, FINEST.max)
            document[name] = array_document(finite, curve)
    return document


def _measures_rows(measures: schema.Measures, rows: int) -> list[tuple[StageMeasures, ...]]:
    columns = {name: getattr(measures, name).values() for name in (*COUNTS, *CURVES[:-1])}
    stop = measures.stop_probability
    columns["stop_probability"] = stop.values() if stop else np.full_like(columns["probability"], np.nan)
    there = columns["kept"].any(axis=-1)
    return [
        tuple(
            StageMeasures(stage, **{name: column[at, row] for name, column in columns.items()})
            for at, stage in enumerate(measures.stages)
            if there[at, row]
        )
        for row in range(rows)
    ]
