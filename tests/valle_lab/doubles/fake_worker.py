"""A worker without a process whose takes move only when a test says so, and that can be killed."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import replace
from typing import Any

import numpy as np
from fake_engine import factory
from fake_views import attention_view, step_view, what_if

from valle.control import Control, Event, ScheduledControl
from valle.request import Codes, Part, Prompt, Request
from valle.step import Place, Step
from valle.whatif import WhatIf
from valle_lab.views import AttentionLook, AttentionView, Look, StepView, TakeLook
from valle_lab.worker.inprocess import InProcessWorker
from valle_lab.worker.messages import Ask, Description, ModelChoice, Progress
from valle_lab.worker.service import Service
from valle_lab.worker.surface import ForgottenStepError, Speaking, WorkerError, ignore


class FakeService(Service):
    """Knows two voices of its own, whatever voices the package has, and shows steps that nobody decided.

    `newest` has the newest step of each take; `forgotten` the takes whose steps are not kept.
    """

    def __init__(self) -> None:
        super().__init__(factory)
        self.newest: dict[str, Place] = {}
        self.forgotten: set[str] = set()
        self.looks: list[Look | AttentionLook | TakeLook] = []

    def look(self, look: Look) -> StepView:
        self.looks.append(look)
        place = look.place or self.newest.get(look.take)
        if place is None or look.take in self.forgotten:
            raise ForgottenStepError(look)
        return step_view(look, place)

    def attend(self, look: AttentionLook, request: Request, level_0: Codes) -> AttentionView:
        self.looks.append(look)
        return attention_view(look, request, level_0)

    def what_if(self, look: TakeLook, request: Request, steps: Sequence[Step]) -> WhatIf:
        self.looks.append(look)
        return what_if(look, steps)

    def recall(self, request: Request, control: Control, steps: int) -> Iterator[Step]:
        self.forgotten.discard(request.take)
        return iter(())

    def describe(self) -> Description:
        return replace(super().describe(), voices=("anna", "bert"))

    def prompt(self, voice: str, start: float, seconds: float | None) -> Prompt:
        codes = np.zeros((75, 8), np.int16)
        return Prompt(codes, self.engine.codec.hash, voice, Part(start, seconds))


class FakeWorker(InProcessWorker):
    """`allow(n)` gives the running take n more steps; `finish_loading` and `fail_loading` end a held load."""

    def __init__(self, *, hold_load: bool = False, steps: int = 0) -> None:
        super().__init__(factory)
        self.service: FakeService = FakeService()
        self.death: str | None = None
        self.allowed = steps
        self.closed = False
        self._hold_load = hold_load
        self._held: list[tuple[Future[Any], Callable[[], Description]]] = []

    def allow(self, steps: int = 1_000_000) -> None:
        self.allowed = steps

    def kill(self) -> None:
        self.death = "The model process was ended by SIGKILL."

    def load(self, choice: ModelChoice, progress: Callable[[Progress], None] = ignore) -> Future[Any]:
        if not self._hold_load:
            return super().load(choice, progress)
        answer: Future[Any] = Future()
        progress(Progress("loading the model", 0.5))
        self._held.append((answer, lambda: super(FakeWorker, self).load(choice).result()))
        return answer

    def finish_loading(self) -> None:
        for answer, load in self._held:
            answer.set_result(load())
        self._held.clear()

    def fail_loading(self, reason: str) -> None:
        for answer, _ in self._held:
            answer.set_exception(WorkerError(reason))
        self._held.clear()

    def speak(self, ask: Ask | Request, schedule: Sequence[Event] | ScheduledControl = ()) -> Speaking:
        return _Gated(self, super().speak(ask, schedule))

    def speak_batch(self, ask: Ask, rows: Mapping[str, int]) -> dict[str, Speaking]:
        return {name: _Gated(self, row) for name, row in super().speak_batch(ask, rows).items()}

    def close(self) -> None:
        self.closed = True


class _Gated(Speaking):
    """A take of the twin behind the fake worker's gate."""

    def __init__(self, worker: FakeWorker, inner: Speaking) -> None:
        super().__init__(inner.change)
        self.begun, self.made = inner.begun, inner.made
        self.refused, self.steps = inner.refused, inner.steps
        self._worker, self._inner = worker, inner

    def drain(self) -> list[Step]:
        if self._worker.death is not None:
            if not self.made.done():
                self.end(WorkerError(self._worker.death))
            return []
        new: list[Step] = []
        while self._worker.allowed > 0 and (step := self._inner.drain()):
            self._worker.allowed -= 1
            new += step
            self._worker.service.newest[step[0].take] = step[0].place
        return new
