"""What-if of whole takes, and takes that are forked, as bodies and arrays of frames, and back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from valle.request import Request
from valle.step import MEASURE_NAMES, StageMeasures, Step
from valle.whatif import WhatIf
from valle_lab.views import TakeLook
from valle_lab.worker.bodies import request_from_body, request_to_body
from valle_lab.worker.protocol import Array
from valle_lab.worker.steps import event_from_dict, event_to_dict, place_from_list, place_to_list

Body = dict[str, Any]
Arrays = dict[str, Array]

_PLAIN = ("take", "first", "failure")
_ROWS = ("segment", "step", "tokens", "choices", "runner_up", "margin", "log_probability", "exact")


def steps_to_body(steps: Sequence[Step]) -> tuple[Body, Arrays]:
    """What a take was made of: where, which tokens, after which changes; nothing that was measured."""
    tokens = np.concatenate([np.zeros(0, np.int16), *(step.tokens for step in steps)])
    body = {
        "places": [
            [place_to_list(step.place), len(step.tokens), step.hypothesis, step.ended] for step in steps
        ],
        "events": [[event_to_dict(event) for event in step.events] for step in steps],
    }
    return body, {"tokens": tokens}


def steps_from_body(body: Mapping[str, Any], arrays: Mapping[str, Array], take: str) -> tuple[Step, ...]:
    """The steps that `steps_to_body` told of."""
    steps, at = [], 0
    for (place, count, hypothesis, ended), events in zip(body["places"], body["events"], strict=True):
        tokens = arrays["tokens"][at : at + count]
        told = tuple(map(event_from_dict, events))
        where = place_from_list(place)
        steps.append(Step(take, where, tokens, tokens, hypothesis, events=told, ended=ended))
        at += count
    return tuple(steps)


def asked_what_if_to_body(look: TakeLook, request: Request, steps: Sequence[Step]) -> tuple[Body, Arrays]:
    """A stack to be tried on a take."""
    asked, arrays = request_to_body(request)
    made, tokens = steps_to_body(steps)
    body = {
        "look": {name: getattr(look, name) for name in TakeLook.__slots__},
        "request": asked,
        "made": made,
    }
    return body, arrays | tokens


def asked_what_if_from_body(
    body: Mapping[str, Any], arrays: Mapping[str, Array]
) -> tuple[TakeLook, Request, tuple[Step, ...]]:
    """What `asked_what_if_to_body` asked for."""
    request = request_from_body(body["request"], arrays)
    return TakeLook(**body["look"]), request, steps_from_body(body["made"], arrays, request.take)


def what_if_to_body(found: WhatIf) -> tuple[Body, Arrays]:
    """The answer."""
    body: Body = {name: getattr(found, name) for name in _PLAIN}
    body |= {"passes": list(found.passes), "stages": [measured.stage for measured in found.measured]}
    arrays: Arrays = {name: getattr(found, name) for name in _ROWS}
    if found.measured:
        for name in MEASURE_NAMES:
            arrays[f"measures.{name}"] = np.stack([getattr(item, name) for item in found.measured])
    return body, arrays


def what_if_from_body(body: Mapping[str, Any], arrays: Mapping[str, Array]) -> WhatIf:
    """The answer that `what_if_to_body` sent."""
    measured = tuple(
        StageMeasures(stage, **{name: arrays[f"measures.{name}"][at] for name in MEASURE_NAMES})
        for at, stage in enumerate(body["stages"])
    )
    rows: dict[str, Any] = {name: arrays[name] for name in _ROWS}
    plain = {name: body[name] for name in _PLAIN}
    return WhatIf(**plain, **rows, passes=tuple(body["passes"]), measured=measured)
