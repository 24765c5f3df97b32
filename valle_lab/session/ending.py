"""Takes that were broken off: where the next decision would have been, and the `cancel` that says so."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from valle.control import Event
from valle.request import Request
from valle.step import Place, Step
from valle.take import Take, assemble


def with_cancel(take: Take) -> Take:
    """The take, with a `cancel` after its last step if it was left early, so that a replay ends there."""
    place = next_place(take.request, take.steps)
    if place is None:
        return take
    nothing = np.zeros(0, np.int16)
    notice = Step(
        take.request.take, place, nothing, nothing, events=(Event("cancel", place=place),), ended="cancel"
    )
    return assemble(take.request, (*take.steps, notice), take.seconds)


def next_place(request: Request, steps: Sequence[Step]) -> Place | None:
    """Where the decision after these would have been, or None if the take is over."""
    if not steps:
        return Place(0, "ar", 0, 0)
    last, place = steps[-1], steps[-1].place
    if last.ended == "cancel":
        return None
    if place.phase != "nar" and last.ended is None:
        return replace(place, step=place.step + 1)
    frames = any(
        step.place.segment == place.segment and len(step.tokens) and step.ended != "stop" for step in steps
    )
    ended = place.phase == "nar" and last.ended == "finish"
    if frames and not ended and place.level + 1 < request.max_levels:
        return Place(place.segment, "nar", place.level + 1, 0)
    following = place.segment + 1
    return Place(following, "ar", 0, 0) if following < len(request.sentences) else None
