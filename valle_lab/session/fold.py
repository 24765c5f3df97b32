"""A journal as a session: what was written before the end, or before the process was killed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import TypeVar

import numpy as np
from pydantic import ValidationError
from pydantic_core import from_json

from valle.errors import UserError
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
from valle_lab.session.journal import (
    LINES,
    EndLine,
    Line,
    OpinionLine,
    SessionLine,
    StepLine,
    TakeLine,
    TrialLine,
)
from valle_lab.session.save import SessionError, first_error
from valle_lab.session.traces import steps_of

Holder = TypeVar("Holder", bound=Model)


@dataclass
class _Unfolded:
    """A take of the journal, as far as it was read."""

    record: schema.Take
    steps: list[Step] = field(default_factory=list)
    seconds: float | None = None
    told: str = ""


def fold_journal(data: bytes, source: str) -> schema.Session:
    """The session that a journal tells of.

    A last line that was cut off is left out. A take without an end is one that was cancelled after its last
    step, and replays as such. Raises SessionError, naming `source` and the line.
    """
    session: schema.Session | None = None
    unfolded: dict[str, _Unfolded] = {}
    opinions: list[OpinionLine] = []
    trials: dict[str, schema.Trial] = {}
    for number, line in _lines(data, source):
        if isinstance(line, SessionLine):
            session = line.session
        elif isinstance(line, OpinionLine):
            opinions.append(line)
        elif isinstance(line, TrialLine):
            trials[line.trial.id] = line.trial
        elif isinstance(line, TakeLine):
            known = {*unfolded, *(take.id for take in session.takes)} if session else {line.take.id}
            if line.take.id in known:
                name = line.take.id[:60]
                raise SessionError(f"{source}: line {number} begins a take {name!r} that is there already")
            unfolded[line.take.id] = _Unfolded(line.take)
        elif line.take not in unfolded:
            raise SessionError(f"{source}: line {number} is of a take {line.take[:60]!r} that never began")
        elif isinstance(line, EndLine):
            unfolded[line.take].seconds, unfolded[line.take].told = line.seconds, line.told
        else:
            unfolded[line.take].steps.append(_step(line, source, number))
    if session is None:
        raise SessionError(f"{source} is no journal: its first line holds no session")
    trials = {trial.id: trial for trial in session.trials} | trials
    session = session.model_copy(update={"trials": tuple(trials.values())})
    return _with_opinions(session, [_folded(take, source) for take in unfolded.values()], opinions)


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


def _folded(unfolded: _Unfolded, source: str) -> schema.Take:
    record, steps = unfolded.record, unfolded.steps
    seconds = sum(step.seconds for step in steps) if unfolded.seconds is None else unfolded.seconds
    try:
        made = to_session_take(assemble(from_session_request(record), steps, seconds), record.origin)
    except ValidationError as error:
        raise SessionError(
            f"{source}: the steps of take {record.id} make no take{first_error(error)}"
        ) from None
    except UserError as error:
        raise SessionError(f"{source}: the steps of take {record.id} make no take: {error}") from None
    told = {name: getattr(made, name) for name in ("events", "segments", "codes_sha256", "seconds")}
    return record.model_copy(update={**told, "told": unfolded.told})


def _with_opinions(
    session: schema.Session, folded: Sequence[schema.Take], opinions: Sequence[OpinionLine]
) -> schema.Session:
    """Opinions go to their take, also to one of the session as it was opened, or to the session."""
    takes = {take.id: take for take in (*session.takes, *folded)}
    for line in opinions:
        if line.take in takes:
            takes[line.take] = _with_opinion(takes[line.take], line)
        else:
            session = _with_opinion(session, line)
    return session.model_copy(update={"takes": tuple(takes.values())})


def _with_opinion(holder: Holder, line: OpinionLine) -> Holder:
    name = f"{line.kind}s"
    before = getattr(holder, name)
    earlier = before if isinstance(before, (list, tuple)) else [before]
    return holder.model_copy(update={name: [*earlier, line.value]})
