"""What a worker can be asked, whether it is another process or a twin in this one."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from valle.control import Event
from valle.errors import UserError
from valle.fork import Fork
from valle.reading import PhonemizedBy
from valle.request import Codes, Prompt, Request, Sentence
from valle.step import Step
from valle.take import Segment, Take, assemble
from valle.text.sentences import SplitBy
from valle.whatif import WhatIf
from valle_lab.views import AttentionLook, AttentionView, Look, StepView, TakeLook
from valle_lab.worker.messages import Ask, Begun, Description, Made, ModelChoice, Progress

Wave = NDArray[np.float32]
"""[samples], mono, at the codec's own rate."""


def ignore(*_: object) -> None:
    """Where nobody wants to be told."""


class WorkerError(UserError):
    """The worker could not do what it was asked, or is gone; one line, the traceback is in its log."""


class WorkerClosedError(WorkerError):
    """The worker was ended on purpose while somebody waited for it."""


class ForgottenStepError(WorkerError):
    """What a step was decided from is not kept."""

    def __init__(self, look: Look) -> None:
        super().__init__(f"What {look.take} was decided from at {look.place or 'its end'} is not kept.")


class Worker(Protocol):
    """Every answer is a Future; in process it is done when the call returns."""

    @property
    def death(self) -> str | None:
        """One line on why the worker is gone, or None while it lives."""

    def load(self, choice: ModelChoice, progress: Callable[[Progress], None] = ignore) -> Future[Description]:
        """Load a model and its codec; `progress` may be called from another thread."""

    def describe(self) -> Future[Description]:
        """What is loaded."""

    def speak(self, ask: Ask | Request | Fork, schedule: Sequence[Event] = ()) -> Speaking:
        """Begin a take; `schedule` holds the changes that are known beforehand; a fork has its own."""

    def speak_batch(self, ask: Ask, rows: Mapping[str, int]) -> dict[str, Speaking]:
        """Begin several takes of one text at once; `rows` are their names and seeds."""

    def decode(self, segments: Sequence[Segment], levels: int | None = None) -> Future[Wave]:
        """Codes as sound, of all levels or of the leading ones; answered between the steps of a take."""

    def decode_piece(self, name: str, codes: Codes, *, first: bool, last: bool) -> Future[Wave]:
        """The sound of codes [frames, levels] that go on where the piece of that name before ended."""

    def sentences(
        self, text: str, language: str, by: SplitBy = "sentence", phonemizer: PhonemizedBy = "espeak"
    ) -> Future[tuple[Sentence, ...]]:
        """A text as it would be spoken: its segments with their phonemes."""

    def prompt(self, voice: str, start: float = 0.0, seconds: float | None = None) -> Future[Prompt]:
        """A voice as codes of the loaded codec."""

    def look(self, look: Look) -> Future[StepView]:
        """One decision of a take in full; answered between the steps of a take.

        Fails with ForgottenStepError where it was never kept or is no longer: `recall` brings it back.
        """

    def attend(self, look: AttentionLook, request: Request, level_0: Codes) -> Future[AttentionView]:
        """Where the model looks in a segment of which these codes [frames] are made."""

    def recall(self, request: Request, steps: Sequence[Step]) -> Future[bool]:
        """Make a take again with its own tokens, so that its steps can be looked at.

        Gives False where something else was asked for meanwhile, which comes first.
        """

    def what_if(self, look: TakeLook, request: Request, steps: Sequence[Step]) -> Future[WhatIf]:
        """What another stack would have made of a take, of which these steps were made; answered between the
        steps of a take."""

    def close(self) -> None:
        """End the worker, whatever it does."""


class Speaking:
    """A take in the making: its steps as they come, and the hands on it.

    One thread adds steps, another reads them: by iteration, which waits, or by `drain`, which does not.
    """

    def __init__(self, change: Callable[[Event], None]) -> None:
        self.begun: Future[Begun] = Future()
        """What is spoken, as the worker resolved it; done before the first step."""
        self.made: Future[Made] = Future()
        """Done after the last step, or failed with the reason."""
        self.steps: list[Step] = []
        self.refused: list[tuple[Event, str]] = []
        self._change = change
        self._drained = 0
        self._news = threading.Condition()

    def change(self, event: Event) -> None:
        """Change the take; takes effect before its next decision."""
        self._change(event)

    def finish(self) -> None:
        """End this phase as if stop had come, and do the later ones."""
        self.change(Event("finish"))

    def cancel(self) -> None:
        """End the take."""
        self.change(Event("cancel"))

    def drain(self) -> list[Step]:
        """The steps that arrived since the last call."""
        new = self.steps[self._drained :]
        self._drained += len(new)
        return new

    def __iter__(self) -> Iterator[Step]:
        while True:
            with self._news:
                self._news.wait_for(lambda: self._drained < len(self.steps) or self.made.done())
            new = self.drain()
            yield from new
            if not new and self._drained == len(self.steps):
                break
        self.made.result()

    def take(self) -> Take:
        """The take as far as it has come; waits for its beginning."""
        request = self.begun.result().request
        if not self.made.done() or self.made.exception() is not None:
            return assemble(request, tuple(self.steps))
        made = self.made.result()
        return Take(request, made.segments, tuple(self.steps), made.seconds)

    def add(self, step: Step) -> None:
        """For the worker's side: one more step."""
        with self._news:
            self.steps.append(step)
            self._news.notify_all()

    def end(self, made: Made | Exception) -> None:
        """For the worker's side: the take is over."""
        with self._news:
            if not self.begun.done() and isinstance(made, Exception):
                self.begun.set_exception(made)
            settle(self.made, made)
            self._news.notify_all()


def settle(future: Future[Any], outcome: object) -> None:
    """Give a future its result, or its exception."""
    if isinstance(outcome, Exception):
        future.set_exception(outcome)
    else:
        future.set_result(outcome)
