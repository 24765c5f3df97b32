"""The lab's hand on the model process: requests go out, a thread of its own takes in what comes back."""

from __future__ import annotations

import itertools
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, BinaryIO, cast

from valle.control import Event
from valle.errors import UserError
from valle.fork import Fork
from valle.reading import PhonemizedBy
from valle.request import Codes, Prompt, Request, Sentence
from valle.step import Step
from valle.take import Segment
from valle.text.sentences import SplitBy
from valle.whatif import WhatIf
from valle_lab.views import AttentionLook, AttentionView, Look, StepView, TakeLook
from valle_lab.worker.bodies import (
    asked_to_body,
    begun_from_body,
    description_from_body,
    made_from_body,
    recall_to_body,
    request_to_body,
    segments_to_body,
    sentence_from_body,
    voice_from_body,
)
from valle_lab.worker.forks import fork_to_body
from valle_lab.worker.looks import attention_from_body, look_to_body, view_from_body
from valle_lab.worker.messages import Ask, Description, Made, ModelChoice, Progress
from valle_lab.worker.protocol import BrokenStreamError, Frame, encode, read_frame
from valle_lab.worker.steps import event_from_dict, event_to_dict, step_from_frame
from valle_lab.worker.suppositions import asked_what_if_to_body, what_if_from_body
from valle_lab.worker.surface import (
    ForgottenStepError,
    Speaking,
    Wave,
    WorkerClosedError,
    WorkerError,
    ignore,
    settle,
)

CLOSED = "The model process has been closed."
PATIENCE = 2.0
"""Seconds that a worker is given to end by itself."""


@dataclass(frozen=True, slots=True)
class _Pending:
    """A request that is not answered in full yet."""

    receive: Callable[[Frame], Any]
    """Takes a frame; gives the outcome where the frame was the last one, else None."""
    finish: Callable[[Any], None]
    """Takes the outcome, or the exception."""


class WorkerClient:
    """A worker in a process of its own; see `valle_lab.worker.surface.Worker`.

    `on_news` is called from the reading thread whenever something else than a step has arrived. A client
    whose worker died stays dead: make another.
    """

    def __init__(
        self,
        log: Path,
        *,
        on_news: Callable[[], None] = ignore,
        engine: str | None = None,
        voices: Path | None = None,
    ) -> None:
        self.log = log
        self._on_news = on_news
        self._numbers = itertools.count(1)
        self._pending: dict[int, _Pending] = {}
        self._state = threading.Lock()
        self._writing = threading.Lock()
        self._death: WorkerError | None = None
        self._closing = False
        options = {"--engine": engine, "--voices": voices and str(voices)}
        given = [word for name, value in options.items() if value for word in (name, value)]
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open("ab") as errors:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "valle_lab.worker", *given],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                start_new_session=True,
            )
        self._requests = cast(BinaryIO, self._process.stdin)
        self._reader = threading.Thread(target=self._read, name="worker reader", daemon=True)
        self._reader.start()

    @property
    def process_id(self) -> int:
        """Of the model process."""
        return self._process.pid

    @property
    def death(self) -> str | None:
        return None if self._death is None else str(self._death)

    def load(self, choice: ModelChoice, progress: Callable[[Progress], None] = ignore) -> Future[Description]:
        def receive(frame: Frame) -> Description | None:
            if frame.kind == "progress":
                progress(Progress(**frame.body))
                return None
            return description_from_body(frame.body)

        body = {name: getattr(choice, name) for name in ModelChoice.__slots__}
        return self._ask(Frame("load", body=body), receive)

    def describe(self) -> Future[Description]:
        return self._ask(Frame("describe"), lambda frame: description_from_body(frame.body))

    def speak(self, ask: Ask | Request | Fork, schedule: Sequence[Event] = ()) -> Speaking:
        body, arrays = fork_to_body(ask) if isinstance(ask, Fork) else asked_to_body(ask)
        body["schedule"] = [event_to_dict(event) for event in schedule]
        number = next(self._numbers)
        speaking = Speaking(
            lambda event: self._write(Frame("change", number, ask.take, event_to_dict(event)))
        )

        pending = _Pending(lambda frame: _take_in(frame, speaking), speaking.end)
        self._send(Frame("speak", number, ask.take, body, arrays), pending)
        return speaking

    def speak_batch(self, ask: Ask, rows: Mapping[str, int]) -> dict[str, Speaking]:
        body, arrays = asked_to_body(ask)
        number = next(self._numbers)

        def hand(take: str) -> Callable[[Event], None]:
            return lambda event: self._write(Frame("change", number, take, event_to_dict(event)))

        speaking = {name: Speaking(hand(name)) for name in rows}

        def receive(frame: Frame) -> bool | None:
            if (made := _take_in(frame, speaking[frame.take])) is not None:
                speaking[frame.take].end(made)
            return True if all(row.made.done() for row in speaking.values()) else None

        def finish(outcome: Any) -> None:
            for row in speaking.values():
                if not row.made.done():
                    row.end(outcome)

        frame = Frame("speak_batch", number, ask.take, {**body, "rows": dict(rows)}, arrays)
        self._send(frame, _Pending(receive, finish))
        return speaking

    def decode(self, segments: Sequence[Segment], levels: int | None = None) -> Future[Wave]:
        body, arrays = segments_to_body(segments)
        return self._ask(
            Frame("decode", body={**body, "wanted": levels}, arrays=arrays), lambda f: f.arrays["wave"]
        )

    def decode_piece(self, name: str, codes: Codes, *, first: bool, last: bool) -> Future[Wave]:
        body = {"name": name, "first": first, "last": last}
        frame = Frame("decode_piece", body=body, arrays={"codes": codes})
        return self._ask(frame, lambda answer: answer.arrays["wave"])

    def sentences(
        self, text: str, language: str, by: SplitBy = "sentence", phonemizer: PhonemizedBy = "espeak"
    ) -> Future[tuple[Sentence, ...]]:
        frame = Frame(
            "sentences", body={"text": text, "language": language, "by": by, "phonemizer": phonemizer}
        )
        return self._ask(frame, lambda answer: tuple(map(sentence_from_body, answer.body["sentences"])))

    def prompt(self, voice: str, start: float = 0.0, seconds: float | None = None) -> Future[Prompt]:
        body = {"voice": voice, "start": start, "seconds": seconds}
        return self._ask(
            Frame("prompt", body=body), lambda answer: voice_from_body(answer.body, answer.arrays["codes"])
        )

    def look(self, look: Look) -> Future[StepView]:
        def receive(frame: Frame) -> StepView | ForgottenStepError:
            return view_from_body(frame.body, frame.arrays) if frame.body else ForgottenStepError(look)

        return self._ask(Frame("look", take=look.take, body=look_to_body(look)), receive)

    def attend(self, look: AttentionLook, request: Request, level_0: Codes) -> Future[AttentionView]:
        body, arrays = request_to_body(request)
        frame = Frame(
            "attend",
            take=look.take,
            body={"look": asdict(look), "request": body},
            arrays={**arrays, "level_0": level_0},
        )
        return self._ask(frame, lambda answer: attention_from_body(answer.body, answer.arrays))

    def recall(self, request: Request, steps: Sequence[Step]) -> Future[bool]:
        body, arrays = recall_to_body(request, steps)
        frame = Frame("recall", take=request.take, body=body, arrays=arrays)
        return self._ask(frame, lambda answer: bool(answer.body["whole"]))

    def what_if(self, look: TakeLook, request: Request, steps: Sequence[Step]) -> Future[WhatIf]:
        body, arrays = asked_what_if_to_body(look, request, steps)
        frame = Frame("what_if", take=look.take, body=body, arrays=arrays)
        return self._ask(frame, lambda answer: what_if_from_body(answer.body, answer.arrays))

    def close(self) -> None:
        self._closing = True
        with self._writing:
            self._requests.close()
        try:
            self._process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self._process.kill()
        self._reader.join(PATIENCE)

    def _ask(self, frame: Frame, receive: Callable[[Frame], Any]) -> Future[Any]:
        answer: Future[Any] = Future()
        numbered = Frame(frame.kind, next(self._numbers), frame.take, frame.body, frame.arrays)
        self._send(numbered, _Pending(receive, lambda outcome: settle(answer, outcome)))
        return answer

    def _send(self, frame: Frame, pending: _Pending) -> None:
        with self._state:
            if self._death is None:
                self._pending[frame.request] = pending
        if self._death is None:
            self._write(frame)
        else:
            pending.finish(self._death)

    def _write(self, frame: Frame) -> None:
        """Write a frame; where the worker is gone the reading thread tells it to whoever waits."""
        data = encode(frame)
        with self._writing:
            try:
                self._requests.write(data)
                self._requests.flush()
            except (OSError, ValueError):
                return

    def _read(self) -> None:
        answers = cast(BinaryIO, self._process.stdout)
        reason = ""
        try:
            while (frame := read_frame(answers)) is not None:
                self._receive(frame)
                if frame.kind != "step":
                    self._on_news()
        except BrokenStreamError as error:
            reason = str(error)
            self._process.kill()
        # Nobody reads on after this, so whatever it was, whoever waits for the worker has to be told.
        except Exception as error:
            reason = f"An answer of the model process cannot be understood: {type(error).__name__}: {error}"
            self._process.kill()
        answers.close()
        code = self._process.wait()
        self._die(WorkerClosedError(CLOSED) if self._closing else WorkerError(reason or self._obituary(code)))

    def _receive(self, frame: Frame) -> None:
        pending = self._pending.get(frame.request)
        if pending is None:
            return
        if frame.kind == "error":
            kind = UserError if frame.body["user"] else WorkerError
            outcome: Any = kind(frame.body["text"])
        else:
            outcome = pending.receive(frame)
        if outcome is not None:
            with self._state:
                del self._pending[frame.request]
            pending.finish(outcome)

    def _die(self, death: WorkerError) -> None:
        with self._state:
            self._death = death
            pending, self._pending = self._pending, {}
        for request in pending.values():
            request.finish(death)
        self._on_news()

    def _obituary(self, code: int) -> str:
        if code < 0:
            return f"The model process was ended by {signal.Signals(-code).name}."
        return f"The model process ended with code {code}; its log is {self.log}."


def _take_in(frame: Frame, speaking: Speaking) -> Made | None:
    """Give a take what has come of it; what it came to, where it is over."""
    if frame.kind == "step":
        speaking.add(step_from_frame(frame))
    elif frame.kind == "begun":
        speaking.begun.set_result(begun_from_body(frame.body, frame.arrays))
    elif frame.kind == "refused":
        speaking.refused.append((event_from_dict(frame.body["event"]), frame.body["reason"]))
    else:
        return made_from_body(frame.body, frame.arrays)
    return None
