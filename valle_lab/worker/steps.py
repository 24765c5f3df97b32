"""Steps and events as frames: every number of a step crosses the pipe unchanged, type of array included."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, fields
from typing import Any

import numpy as np

from valle.control import Event
from valle.step import MEASURE_NAMES, Alternative, Evidence, Place, StageMeasures, Step
from valle_lab.worker.protocol import Array, Frame

_OPTIONAL = ("within_reach", "masked")
_ARRAYS = ("tokens", "choices", "log_probability", "runner_up", "margin")


def step_to_frame(step: Step, request: int) -> Frame:
    """A frame of kind `step`; the measures of all stages travel as one array [stages, positions] each."""
    arrays: dict[str, Array] = {name: getattr(step, name) for name in _ARRAYS}
    for name in _OPTIONAL:
        if (array := getattr(step, name)) is not None:
            arrays[name] = array
    for name in ("evidence", "null_evidence"):
        if (evidence := getattr(step, name)) is not None:
            arrays.update(_evidence_arrays(name, evidence))
    if step.measures:
        for name in MEASURE_NAMES:
            arrays[f"measures.{name}"] = np.stack([getattr(measures, name) for measures in step.measures])
    body = {
        "place": place_to_list(step.place),
        "hypothesis": step.hypothesis,
        "exit_layer": step.exit_layer,
        "drafted": step.drafted,
        "others": [{**asdict(other), "codes": np.asarray(other.codes).tolist()} for other in step.others],
        "events": [event_to_dict(event) for event in step.events],
        "ended": step.ended,
        "seconds": step.seconds,
        "stages": [measures.stage for measures in step.measures],
    }
    return Frame("step", request, step.take, body, arrays)


def step_from_frame(frame: Frame) -> Step:
    """The step that `step_to_frame` sent."""
    body, arrays = frame.body, frame.arrays
    stages = tuple(
        StageMeasures(stage, **{name: arrays[f"measures.{name}"][i] for name in MEASURE_NAMES})
        for i, stage in enumerate(body["stages"])
    )
    return Step(
        take=frame.take,
        place=place_from_list(body["place"]),
        hypothesis=body["hypothesis"],
        exit_layer=body["exit_layer"],
        drafted=body["drafted"],
        others=tuple(
            Alternative(**{**other, "codes": np.array(other["codes"], np.int16)}) for other in body["others"]
        ),
        events=tuple(event_from_dict(event) for event in body["events"]),
        ended=body["ended"],
        seconds=body["seconds"],
        measures=stages,
        evidence=_evidence("evidence", arrays),
        null_evidence=_evidence("null_evidence", arrays),
        within_reach=arrays.get("within_reach"),
        masked=arrays.get("masked"),
        **{name: arrays[name] for name in _ARRAYS},
    )


def event_to_dict(event: Event) -> dict[str, Any]:
    """An event as plain JSON values."""
    place = None if event.place is None else place_to_list(event.place)
    return {"kind": event.kind, "name": event.name, "value": event.value, "place": place}


def event_from_dict(data: Mapping[str, Any]) -> Event:
    """The event that `event_to_dict` described."""
    place = None if data["place"] is None else place_from_list(data["place"])
    return Event(data["kind"], data["name"], data["value"], place)


def place_to_list(place: Place) -> list[Any]:
    """Segment, phase, level, step."""
    return [place.segment, place.phase, place.level, place.step]


def place_from_list(data: list[Any]) -> Place:
    """The place that `place_to_list` described."""
    segment, phase, level, step = data
    return Place(segment, phase, level, step)


def _evidence_arrays(name: str, evidence: Evidence) -> dict[str, Array]:
    return {
        f"{name}.{field.name}": array
        for field in fields(Evidence)
        if (array := getattr(evidence, field.name)) is not None
    }


def _evidence(name: str, arrays: Mapping[str, Array]) -> Evidence | None:
    given = {f.name: arrays[f"{name}.{f.name}"] for f in fields(Evidence) if f"{name}.{f.name}" in arrays}
    return Evidence(**given) if given else None
