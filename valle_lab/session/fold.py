"""A journal as a session: what was written before the end, or before the process was killed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

import numpy as np
from pydantic import ValidationError
from pydantic_core import from_json

from valle.step import Step
from valle.take import assemble
from valle_lab.session import schema
from valle_lab.session.base import Model
from valle_lab.session.convert import (
    from_session_event,
    from_session_place,
    from_session_request,
    to_session_take,
)
from valle_lab.session.journal import LINES, EndLine, Line, OpinionLine, SessionLine, StepLine, TakeLine
from valle_lab.session.save import SessionError, first_error
from valle_lab.session.traces import steps_of

Holder = TypeVar("Holder", bound=Model)


@dataclass
class _Unfolded:
    """A take of the journal, as far as it was read."""

    record: schema.Take
    steps: list[Step] = field(default_factory=list)
    seconds: float | None = None
    opinions: dict[str, list[Any]] = field(default_factory=dict)


def fold_journal(data: bytes, source: str) -> schema.Session:
    """The session that a journal tells of.

    A last line that was cut off is left out. A take without an end is one that was cancelled after its last
    step, and replays as such. Raises SessionError, naming `source` and the line.
    """
    session: schema.Session | None = None
    takes: dict[str, _Unfolded] = {}
    opinions: dict[str, list[Any]] = {}
    for number, line in _lines(data, source):
        if isinstance(line, SessionLine):
            session = line.session
        elif isinstance(line, TakeLine):
            if (
                session is None
                or line.take.id in takes
                or line.take.id in {take.id for take in session.takes}
            ):
                raise SessionError(
                    f"{source}: line {number} begins a take {line.take.id[:60]!r} that is there already"
                )
            takes[line.take.id] = _Unfolded(line.take)
        elif isinstance(line, OpinionLine):
            of_take = takes[line.take].opinions if line.take in takes else None
            (opinions if of_take is None else of_take).setdefault(f"{line.kind}s", []).append(line.value)
        elif line.take not in takes:
            raise SessionError(f"{source}: line {number} is of a take {line.take[:60]!r} that never began")
        elif isinstance(line, EndLine):
            takes[line.take].seconds = line.seconds
        else:
            takes[line.take].steps.append(_step(line, source, number))
    if session is None:
        raise SessionError(f"{source} is no journal: its first line holds no session")
    return _with_opinions(
        session.model_copy(update={"takes": (*session.takes, *map(_folded, takes.values()))}), opinions
    )


def _lines(data: bytes, source: str) -> Iterator[tuple[int, Line]]:
    """The lines with their numbers; a last one that is not whole is left out."""
    lines = data.split(b"\n")
    if not lines.pop() and not lines:
        raise SessionError(f"{source} is empty; it is no journal")
    for number, text in enumerate(lines, 1):
        kind = _kind(text)
        if kind is None and number == len(lines):
            return
        if kind is None:
            raise SessionError(
                f"{source}: line {number} is no JSON object with a kind; the journal is damaged"
            )
        if kind in LINES:
            try:
                yield number, LINES[kind].model_validate_json(text)
            except ValidationError as error:
                raise SessionError(f"{source}: line {number}{first_error(error)}") from None


def _kind(text: bytes) -> str | None:
    try:
        line = from_json(text)
    except ValueError:
        return None
    kind = line.get("kind") if isinstance(line, dict) else None
    return kind if isinstance(kind, str) else None


def _step(line: StepLine, source: str, number: int) -> Step:
    place = from_session_place(line.place)
    events = tuple(from_session_event(event) for event in line.events)
    if line.trace is None:
        nothing = np.zeros(0, np.int16)
        return Step(line.take, place, nothing, nothing, events=events, ended=line.ended)
    steps = steps_of(line.trace, line.take, place.segment)
    if len(steps) != 1 or line.trace.phase != place.phase:
        raise SessionError(f"{source}: line {number} must have a trace of one step of {place.phase}")
    return replace(steps[0], place=place, events=events, ended=line.ended)


def _folded(unfolded: _Unfolded) -> schema.Take:
    record, steps = unfolded.record, unfolded.steps
    seconds = sum(step.seconds for step in steps) if unfolded.seconds is None else unfolded.seconds
    made = to_session_take(assemble(from_session_request(record), steps, seconds), record.origin)
    told = {name: getattr(made, name) for name in ("events", "segments", "codes_sha256", "seconds")}
    return _with_opinions(record.model_copy(update=told), unfolded.opinions)


def _with_opinions(holder: Holder, opinions: dict[str, list[Any]]) -> Holder:
    told = {name: [*_as_list(getattr(holder, name)), *values] for name, values in opinions.items()}
    return holder.model_copy(update=told)


def _as_list(opinions: Any) -> list[Any]:
    return list(opinions) if isinstance(opinions, (list, tuple)) else [opinions]
