"""The worker's twin inside the caller's process: notebooks, scripts and tests ask the same and get the same.

Nothing runs beside the caller: a call returns when it is done, and a take is computed as it is iterated.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from pathlib import Path
from typing import Any

from valle.control import Event, LiveControl, ScheduledControl
from valle.fork import Fork
from valle.reading import PhonemizedBy
from valle.request import Codes, Prompt, Request, Sentence
from valle.step import Step
from valle.take import Segment
from valle.text.sentences import SplitBy
from valle.whatif import WhatIf
from valle_lab.engine import BatchGeneration, Generation
from valle_lab.views import AttentionLook, AttentionView, Look, StepView, TakeLook
from valle_lab.worker.bodies import recall_from_body, recall_to_body
from valle_lab.worker.messages import Ask, Description, ModelChoice, Progress
from valle_lab.worker.service import EngineFactory, Service, load_engine
from valle_lab.worker.surface import Speaking, Wave, ignore


class InProcessWorker:
    """A worker without a process; see `valle_lab.worker.surface.Worker`."""

    death: str | None = None

    def __init__(self, factory: EngineFactory = load_engine, voices: Path | None = None) -> None:
        self.service = Service(factory, voices)

    def load(self, choice: ModelChoice, progress: Callable[[Progress], None] = ignore) -> Future[Description]:
        return _done(lambda: self.service.load(choice, progress))

    def describe(self) -> Future[Description]:
        return _done(self.service.describe)

    def speak(self, ask: Ask | Request | Fork, schedule: Sequence[Event] | ScheduledControl = ()) -> Speaking:
        """Begin a take; a schedule may bring the recorded tokens of a replay."""
        scheduled = schedule if isinstance(schedule, ScheduledControl) else ScheduledControl(schedule)
        if isinstance(ask, Fork):
            scheduled = ask.control()
        control = LiveControl(scheduled)
        return _LazySpeaking(self.service, ask, control)

    def speak_batch(self, ask: Ask, rows: Mapping[str, int]) -> dict[str, Speaking]:
        return dict(LazyBatch(self.service, ask, rows).rows)

    def decode(self, segments: Sequence[Segment], levels: int | None = None) -> Future[Wave]:
        return _done(lambda: self.service.decode(segments, levels))

    def decode_piece(self, name: str, codes: Codes, *, first: bool, last: bool) -> Future[Wave]:
        return _done(lambda: self.service.decode_piece(name, codes, first=first, last=last))

    def sentences(
        self, text: str, language: str, by: SplitBy = "sentence", phonemizer: PhonemizedBy = "espeak"
    ) -> Future[tuple[Sentence, ...]]:
        return _done(lambda: self.service.sentences(text, language, by, phonemizer))

    def prompt(self, voice: str, start: float = 0.0, seconds: float | None = None) -> Future[Prompt]:
        return _done(lambda: self.service.prompt(voice, start, seconds))

    def look(self, look: Look) -> Future[StepView]:
        return _done(lambda: self.service.look(look))

    def attend(self, look: AttentionLook, request: Request, level_0: Codes) -> Future[AttentionView]:
        return _done(lambda: self.service.attend(look, request, level_0))

    def recall(self, request: Request, steps: Sequence[Step]) -> Future[bool]:
        def again() -> bool:
            for _ in self.service.recall(*recall_from_body(*recall_to_body(request, steps))):
                pass
            return True

        return _done(again)

    def what_if(self, look: TakeLook, request: Request, steps: Sequence[Step]) -> Future[WhatIf]:
        return _done(lambda: self.service.what_if(look, request, steps))

    def close(self) -> None:
        """There is no process to end but those of the phonemes."""
        self.service.close()


class _LazySpeaking(Speaking):
    """A take that is computed by whoever iterates it; `drain` computes one step."""

    def __init__(self, service: Service, ask: Ask | Request | Fork, control: LiveControl) -> None:
        super().__init__(control.put)
        self.refused = control.refused
        self._service = service
        self._generation: Generation | None = None
        try:
            self._generation = service.begin(ask, control)
            self.begun.set_result(service.begun(self._generation.request))
        # Whoever waits for the take is told, as by a worker in another process.
        except Exception as error:
            self.end(error)

    def drain(self) -> list[Step]:
        return [step] if (step := self._advance()) is not None else []

    def __iter__(self) -> Iterator[Step]:
        while (step := self._advance()) is not None:
            yield step
        self.made.result()

    def _advance(self) -> Step | None:
        if self.made.done() or self._generation is None:
            return None
        try:
            step = next(self._generation, None)
        except Exception as error:
            self.end(error)
            return None
        if step is None:
            take = self._generation.take
            self.end(self._service.made(take))
            return None
        self.add(step)
        return step


class LazyBatch:
    """Takes that are computed by whoever iterates one of them."""

    def __init__(self, service: Service, ask: Ask, rows: Mapping[str, int]) -> None:
        controls = {name: LiveControl() for name in rows}
        self.rows = {name: _LazyRow(self, control) for name, control in controls.items()}
        self._service = service
        self._generation: BatchGeneration | None = None
        try:
            self._generation = service.begin_batch(ask, rows, controls)
            for request in self._generation.requests:
                self.rows[request.take].begun.set_result(service.begun(request))
        # Whoever waits for the takes is told, as by a worker in another process.
        except Exception as error:
            self._end(error)

    def advance(self) -> None:
        """Compute a step of whichever row is next, or end all rows."""
        if self._generation is None:
            return
        try:
            step = next(self._generation, None)
        except Exception as error:
            self._end(error)
            return
        if step is not None:
            self.rows[step.take].add(step)
        if step is None or step.ended == "cancel":
            for take in self._generation.takes:
                row = self.rows[take.request.take]
                if not row.made.done() and (step is None or take.request.take == step.take):
                    row.end(self._service.made(take))
        if step is None:
            self._generation = None

    def _end(self, error: Exception) -> None:
        self._generation = None
        for row in self.rows.values():
            if not row.made.done():
                row.end(error)


class _LazyRow(Speaking):
    """One take of a batch; `drain` computes until there is a step of it."""

    def __init__(self, batch: LazyBatch, control: LiveControl) -> None:
        super().__init__(control.put)
        self.refused = control.refused
        self._batch = batch

    def drain(self) -> list[Step]:
        while not (new := super().drain()) and not self.made.done():
            self._batch.advance()
        return new

    def __iter__(self) -> Iterator[Step]:
        while new := self.drain():
            yield from new
        self.made.result()


def _done(work: Callable[[], Any]) -> Future[Any]:
    answer: Future[Any] = Future()
    try:
        answer.set_result(work())
    # The caller meets it in `result()`, as with a worker in another process.
    except Exception as error:
        answer.set_exception(error)
    return answer
