"""Codes and trace of a take as tables for other programs."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from valle.request import FRAME_RATE
from valle.step import MEASURE_NAMES, Step, stage_names
from valle.take import Take

DECISION = (
    "segment",
    "phase",
    "level",
    "step",
    "position",
    "seconds",
    "token",
    "choice",
    "runner_up",
    "margin",
    "log_probability",
    "logsumexp",
    "logit",
    "compute_seconds",
    "changes",
    "ended",
)
"""The columns that every decision has; then come `STAGE.MEASURE` for each stage, empty where it was not.

The first stage is `raw`, the last `final`: what the chooser saw.
"""
FINAL = "final"


def codes_file(take: Take) -> bytes:
    """The codes as an .npz: `segment_N` [frames, levels] int16 each, and `prompt` where there is a voice."""
    arrays: dict[str, Any] = {
        f"segment_{number}": segment.codes() for number, segment in enumerate(take.segments)
    }
    if take.request.prompt is not None:
        arrays["prompt"] = take.request.prompt.codes
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **arrays)
    return buffer.getvalue()


def trace_file(take: Take) -> bytes:
    """The trace as CSV with a head line: a row for every position of every decision, in order."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    head, rows = _trace(take)
    writer.writerow(head)
    writer.writerows(rows)
    return text.getvalue().encode()


def trace_columns(take: Take) -> dict[str, list[Any]]:
    """The same by columns; None where the file has an empty cell."""
    head, rows = _trace(take)
    return dict(zip(head, map(list, zip(*rows, strict=True)), strict=True)) or {name: [] for name in head}


def _trace(take: Take) -> tuple[list[str], Iterator[list[object]]]:
    stages = [*(name for name in stage_names(take.steps) if name != FINAL), FINAL]
    head = [*DECISION, *(f"{stage}.{measure}" for stage in stages for measure in MEASURE_NAMES)]
    return head, (row for step in take.steps for row in _rows(step, stages))


def _rows(step: Step, stages: Sequence[str]) -> Iterator[list[object]]:
    place = step.place
    changes = "; ".join(f"{event.kind} {event.name} {_plain(event.value)}".strip() for event in step.events)
    measures = {item.stage: item for item in step.measures}
    if step.measures:
        measures[FINAL] = step.measures[-1]
    for position in range(len(step.tokens)):
        frame = position if len(step.tokens) > 1 or place.phase == "nar" else place.step
        evidence = step.evidence
        first, last = position == 0, position == len(step.tokens) - 1
        yield [
            place.segment,
            place.phase,
            place.level,
            place.step,
            position,
            round(frame / FRAME_RATE, 4),
            int(step.tokens[position]),
            int(step.choices[position]),
            _number(step.runner_up, position),
            _number(step.margin, position),
            _number(step.log_probability, position),
            None if evidence is None else _number(evidence.logsumexp, position),
            None if evidence is None else _number(evidence.chosen, position),
            round(step.seconds, 6) if first else None,
            changes if first else None,
            step.ended if last else None,
            *(
                _number(getattr(measures[stage], name), position) if stage in measures else None
                for stage in stages
                for name in MEASURE_NAMES
            ),
        ]


def _number(values: Any, position: int) -> float | int | None:
    """The number at a position, short; None where there is none."""
    if position >= len(values):
        return None
    value = values[position].item()
    return value if isinstance(value, int) else None if np.isnan(value) else float(f"{value:.6g}")


def _plain(value: Any) -> str:
    return "" if value is None else str(value)
