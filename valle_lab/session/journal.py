"""The journal: what a running lab knows, written line by line, so that a killed process loses nothing.

A file of JSON lines. The first holds the session as it was opened; after it come takes as they begin, their
steps, their ends, and opinions, in the order in which they happened. Lines of unknown kinds are passed over.
"""

from __future__ import annotations

import json
import os
import threading
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self

from valle.errors import UserError
from valle.request import Request
from valle.step import Place, Step
from valle_lab.session import schema
from valle_lab.session.base import Identifier, Model, Plain, Seconds, Text
from valle_lab.session.convert import begun_take, to_session_event
from valle_lab.session.traces import trace_document


class SessionLine(Model):
    """The first line."""

    kind: Literal["session"] = "session"
    session: schema.Session


class TakeLine(Model):
    """A take begins: all of it but what is not yet known."""

    kind: Literal["take"] = "take"
    take: schema.Take


class StepLine(Model):
    """One step of a take: a trace with one row, or none where events ended the phase."""

    kind: Literal["step"] = "step"
    take: Identifier
    place: schema.Place
    ended: schema.Ending | None = None
    events: tuple[schema.Event, ...] = ()
    trace: schema.Trace | None = None


class EndLine(Model):
    """A take is over."""

    kind: Literal["end"] = "end"
    take: Identifier
    seconds: Seconds
    told: Text = ""


class OpinionLine(Model):
    """What a listener said, of a take or of the whole session."""

    kind: Literal["rating", "note"]
    take: Identifier | None = None
    value: Plain = None


class TrialLine(Model):
    """A blind trial as it stands: when it is opened, and once more when it is decided."""

    kind: Literal["trial"] = "trial"
    trial: schema.Trial


Line = SessionLine | TakeLine | StepLine | EndLine | OpinionLine | TrialLine
LINES: dict[str, type[Line]] = {
    "session": SessionLine, "take": TakeLine, "step": StepLine, "end": EndLine, "rating": OpinionLine,
    "note": OpinionLine, "trial": TrialLine,
}  # fmt: skip


class Journal:
    """Writes a journal; safe to use from several threads.

    Every line reaches the system at once, so that only a power cut can lose it; it is forced onto the disk
    where a take begins or ends and where an opinion was given.
    """

    def __init__(self, path: Path | str, session: schema.Session | None = None) -> None:
        """Begin a journal for a session that is new, or was opened. Raises UserError if the file is there."""
        self.path = Path(path)
        self._lock = threading.Lock()
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._file = self.path.open("xb")
        except FileExistsError:
            raise UserError(f"{self.path} is there already; a journal is never written over") from None
        except OSError as error:
            raise UserError(f"{self.path} cannot be written: {error.strerror or error}") from None
        self._write(SessionLine(session=session or schema.new_session()), lasting=True)

    def begin(
        self, request: Request, origin: schema.Origin, *, parent: str | None = None, fork: Place | None = None
    ) -> None:
        """A take begins."""
        self._write(TakeLine(take=begun_take(request, origin, parent=parent, fork=fork)), lasting=True)

    def step(self, step: Step) -> None:
        """A step was made. In plain JSON, unchecked: this is written while the take waits."""
        place = step.place
        line = {
            "kind": "step",
            "take": step.take,
            "place": {name: getattr(place, name) for name in ("segment", "phase", "level", "step")},
            "ended": step.ended,
            "events": [to_session_event(event).model_dump(mode="json") for event in step.events],
            "trace": trace_document([step]) if len(step.tokens) else None,
        }
        self._write_text(json.dumps(line))

    def end(self, take: str, seconds: float, told: str = "") -> None:
        """A take is over, by itself or by an event: `seconds` of computing, and its answer without speech."""
        self._write(EndLine(take=take, seconds=seconds, told=told), lasting=True)

    def rate(self, take: str | None, rating: Any) -> None:
        """A rating, in JSON's types, of a take or of the session."""
        self._write(OpinionLine(kind="rating", take=take, value=rating), lasting=True)

    def note(self, take: str | None, note: Any) -> None:
        """A note, in JSON's types, on a take or on the session."""
        self._write(OpinionLine(kind="note", take=take, value=note), lasting=True)

    def trial(self, trial: schema.Trial) -> None:
        """A blind trial was opened or decided; the one of that id before is replaced."""
        self._write(TrialLine(trial=trial), lasting=True)

    def close(self) -> None:
        """Write nothing more."""
        with self._lock:
            self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _write(self, line: Line, lasting: bool = False) -> None:
        self._write_text(line.model_dump_json(by_alias=True), lasting)

    def _write_text(self, line: str, lasting: bool = False) -> None:
        data = line.encode() + b"\n"
        with self._lock:
            if self._file.closed:
                return
            try:
                self._file.write(data)
                self._file.flush()
                if lasting:
                    os.fsync(self._file.fileno())
            except OSError as error:
                raise UserError(f"{self.path} cannot be written: {error.strerror or error}") from None
