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
    phases = request.phases
    if not steps:
        return _first(phases, 0)
    last, place = steps[-1], steps[-1].place
    if last.ended == "cancel":
        return None
    if place.phase != "nar" and last.ended is None:
        return replace(place, step=place.step + 1)
    own = [step for step in steps if step.place.segment == place.segment]
    if (after := _after(request, own)) is not None:
        return after
    following = place.segment + 1
    return _first(phases, following) if following < len(request.sentences) else None


def _after(request: Request, steps: Sequence[Step]) -> Place | None:
    """The first decision of what follows the latest phase of a segment; None where the segment is over."""
    last, place = steps[-1], steps[-1].place
    if place.phase == "nar":
        further = last.ended != "finish" and place.level + 1 < request.max_levels
        return replace(place, level=place.level + 1) if further else None
    if len(request.phases) == 1:
        return None
    written = [step for step in steps if step.place.phase in ("ar", "nar_len") and len(step.tokens)]
    frames = [step for step in written if step.ended != "stop" or step.place.phase == "nar_len"]
    if request.refine and place.phase == "ar" and last.ended == "stop" and frames:
        return Place(place.segment, "refine", 0, 0)
    if place.phase == "len" or (place.phase == "ar" and _is_begun(request, steps, len(frames))):
        following = request.phases[request.phases.index(place.phase) + 1]
        return Place(place.segment, following, 0, 0)
    return Place(place.segment, "nar", 1, 0) if frames and request.max_levels > 1 else None


def _is_begun(request: Request, steps: Sequence[Step], frames: int) -> bool:
    """Whether the AR has written but the beginning, and the rest is demasked."""
    if "nar_len" not in request.phases or steps[-1].ended == "stop":
        return False
    digits = [int(step.tokens[0]) for step in steps if step.place.phase == "len" and len(step.tokens)]
    whole = request.demasking.length(digits, request.max_frames)
    return frames == min(whole, request.ar_frames) < whole


def _first(phases: Sequence[str], segment: int) -> Place:
    return Place(segment, phases[0], 1 if phases[0] == "nar" else 0, 0)
