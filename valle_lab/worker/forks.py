"""Forks as bodies and arrays of frames, and back."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from valle.fork import Fork
from valle_lab.worker.bodies import request_from_body, request_to_body
from valle_lab.worker.protocol import Array
from valle_lab.worker.steps import event_from_dict, event_to_dict, place_from_list, place_to_list
from valle_lab.worker.suppositions import steps_from_body, steps_to_body

Body = dict[str, Any]
Arrays = dict[str, Array]


def fork_to_body(fork: Fork) -> tuple[Body, Arrays]:
    """A fork; of its past what was decided, not what was measured."""
    request, arrays = request_to_body(fork.request)
    past, tokens = steps_to_body(fork.past)
    told = {
        "request": request,
        "parent": fork.parent,
        "place": place_to_list(fork.place),
        "past": past,
        "events": [event_to_dict(event) for event in fork.events],
    }
    return {"fork": told}, arrays | tokens


def fork_in(body: Mapping[str, Any], arrays: Mapping[str, Array]) -> Fork | None:
    """The fork that `fork_to_body` told of, if the body has one."""
    told = body.get("fork")
    if told is None:
        return None
    request = request_from_body(told["request"], arrays)
    return Fork(
        request,
        told["parent"],
        place_from_list(told["place"]),
        steps_from_body(told["past"], arrays, request.take),
        tuple(map(event_from_dict, told["events"])),
    )
