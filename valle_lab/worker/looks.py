"""Looks and the views that answer them, as bodies and arrays of frames, and back.

Numbers travel in arrays: they may be infinite or no number at all, which JSON cannot say.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Any

import numpy as np

from valle_lab.views import (
    Alignment,
    AttentionView,
    CandidateTable,
    HeadView,
    Histogram,
    Look,
    Reader,
    StageView,
    StepView,
)
from valle_lab.worker.protocol import Array
from valle_lab.worker.steps import place_from_list, place_to_list

Body = dict[str, Any]
Arrays = dict[str, Array]

_PLAIN = (
    "take",
    "position",
    "positions",
    "token",
    "choice",
    "runner_up",
    "chooser",
    "stop",
    "remade",
    "supposed",
)
_WATERFALL = tuple(field.name for field in fields(StageView) if field.name not in ("stage", "runs"))
_HEAD = ("text", "prompt", "response")
_COUNTS = ("kept", "rank_before", "rank")


def look_to_body(look: Look) -> Body:
    """What is to be looked at."""
    return {
        **{field.name: getattr(look, field.name) for field in fields(look)},
        "place": None if look.place is None else place_to_list(look.place),
    }


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
        "symbols": list(view.symbols.items()),
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
        symbols=dict(body["symbols"]),
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


def attention_to_body(view: AttentionView) -> tuple[Body, Arrays]:
    """Where the model looks."""
    body: Body = {name: getattr(view, name) for name in ("take", "segment", "row", "rows")}
    body["symbols"] = list(view.symbols)
    arrays: Arrays = {"shares": view.shares}
    if (head := view.head) is not None:
        body["head"] = [head.layer, head.head]
        arrays |= {f"head.{name}": getattr(head, name) for name in _HEAD}
    if (alignment := view.alignment) is not None:
        body["readers"] = [[reader.layer, reader.head, reader.monotony] for reader in alignment.readers]
        arrays |= {"map": alignment.map, "path": alignment.path}
    return body, arrays


def attention_from_body(body: Mapping[str, Any], arrays: Mapping[str, Array]) -> AttentionView:
    """The view that `attention_to_body` sent."""
    head = alignment = None
    if "head" in body:
        layer, number = body["head"]
        head = HeadView(layer, number, **{name: arrays[f"head.{name}"] for name in _HEAD})
    if "readers" in body:
        readers = tuple(Reader(*reader) for reader in body["readers"])
        alignment = Alignment(readers, arrays["map"], arrays["path"])
    return AttentionView(
        **{name: body[name] for name in ("take", "segment", "row", "rows")},
        symbols=tuple(body["symbols"]),
        shares=arrays["shares"],
        head=head,
        alignment=alignment,
    )


def _stage(name: str, runs: bool, numbers: list[float]) -> StageView:
    values: dict[str, Any] = dict(zip(_WATERFALL, numbers, strict=True))
    counts = {key: int(values[key]) for key in _COUNTS}
    return StageView(stage=name, runs=runs, **{**values, **counts})
