"""Looks and the views that answer them, as bodies and arrays of frames, and back.

Numbers travel in arrays: they may be infinite or no number at all, which JSON cannot say.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, fields
from typing import Any

import numpy as np

from valle_lab.views import CandidateTable, Histogram, Look, StageView, StepView
from valle_lab.worker.protocol import Array
from valle_lab.worker.steps import place_from_list, place_to_list

Body = dict[str, Any]
Arrays = dict[str, Array]

_PLAIN = ("take", "position", "positions", "token", "choice", "runner_up", "chooser", "stop", "remade")
_WATERFALL = tuple(field.name for field in fields(StageView) if field.name not in ("stage", "runs"))
_COUNTS = ("kept", "rank_before", "rank")


def look_to_body(look: Look) -> Body:
    """What is to be looked at."""
    return {**asdict(look), "place": None if look.place is None else place_to_list(look.place)}


def look_from_body(body: Mapping[str, Any]) -> Look:
    """The look that `look_to_body` described."""
    return Look(**{**body, "place": None if body["place"] is None else place_from_list(body["place"])})


def view_to_body(view: StepView) -> tuple[Body, Arrays]:
    """What is seen of one step."""
    histogram, table = view.histogram, view.candidates
    body = {name: getattr(view, name) for name in _PLAIN} | {
        "place": place_to_list(view.place),
        "stages": [[stage.stage, stage.runs] for stage in view.waterfall],
        "banned": [histogram.raw_banned, histogram.final_banned],
        "points": list(table.points),
    }
    waterfall = [[getattr(stage, name) for name in _WATERFALL] for stage in view.waterfall]
    arrays = {
        "numbers": np.array([view.margin, view.log_probability]),
        "waterfall": np.array(waterfall, np.float64),
        "edges": histogram.edges,
        "raw": histogram.raw,
        "final": histogram.final,
        "chosen": np.array(histogram.chosen),
        "ids": table.ids,
        "logit": table.logit,
        "probability": table.probability,
        "cumulative": table.cumulative,
    }
    if histogram.stop is not None:
        arrays["stop"] = np.array(histogram.stop)
    return body, arrays


def view_from_body(body: Mapping[str, Any], arrays: Mapping[str, Array]) -> StepView:
    """The view that `view_to_body` sent."""
    margin, log_probability = arrays["numbers"].tolist()
    raw_banned, final_banned = body["banned"]
    raw_chosen, final_chosen = arrays["chosen"].tolist()
    stop = arrays["stop"].tolist() if "stop" in arrays else None
    return StepView(
        **{name: body[name] for name in _PLAIN},
        place=place_from_list(body["place"]),
        margin=margin,
        log_probability=log_probability,
        waterfall=tuple(
            _stage(name, runs, numbers)
            for (name, runs), numbers in zip(body["stages"], arrays["waterfall"].tolist(), strict=True)
        ),
        histogram=Histogram(
            edges=arrays["edges"],
            raw=arrays["raw"],
            final=arrays["final"],
            raw_banned=raw_banned,
            final_banned=final_banned,
            chosen=(raw_chosen, final_chosen),
            stop=None if stop is None else (stop[0], stop[1]),
        ),
        candidates=CandidateTable(
            tuple(body["points"]),
            arrays["ids"],
            arrays["logit"],
            arrays["probability"],
            arrays["cumulative"],
        ),
    )


def _stage(name: str, runs: bool, numbers: list[float]) -> StageView:
    values: dict[str, Any] = dict(zip(_WATERFALL, numbers, strict=True))
    counts = {key: int(values[key]) for key in _COUNTS}
    return StageView(stage=name, runs=runs, **{**values, **counts})
