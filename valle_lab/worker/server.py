"""The model process: a thread reads requests and control, one writes frames, the loop between never waits."""

from __future__ import annotations

import os
import queue
import sys
import threading
import traceback
from collections import deque
from collections.abc import Callable
from dataclasses import asdict, replace
from typing import BinaryIO

from valle.control import LiveControl, ScheduledControl
from valle.errors import UserError
from valle.take import Take
from valle_lab.views import AttentionLook
from valle_lab.worker.bodies import (
    asked_from_body,
    begun_to_body,
    description_to_body,
    made_to_body,
    recall_from_body,
    request_from_body,
    segments_from_body,
    voice_to_body,
)
from valle_lab.worker.forks import fork_in
from valle_lab.worker.looks import attention_to_body, look_from_body, view_to_body
from valle_lab.worker.messages import Ask, ModelChoice, Progress
from valle_lab.worker.protocol import Frame, encode, read_frame
from valle_lab.worker.service import Service
from valle_lab.worker.steps import event_from_dict, event_to_dict, step_to_frame
from valle_lab.worker.suppositions import asked_what_if_from_body, what_if_to_body
from valle_lab.worker.surface import ForgottenStepError

BETWEEN_STEPS = frozenset(
    {"describe", "decode", "decode_piece", "sentences", "prompt", "look", "attend", "what_if"}
)
"""Requests that are answered while a take runs; the others wait for its end."""


class Server:
    """Serves one client until its stream of requests ends."""

    def __init__(self, service: Service, requests: BinaryIO, answers: BinaryIO) -> None:
        self._service = service
        self._requests = requests
        self._answers = answers
        self._arrived: queue.SimpleQueue[Frame] = queue.SimpleQueue()
        self._waiting: deque[Frame] = deque()
        self._outgoing: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
        self._controls: dict[tuple[int, str], LiveControl] = {}
        """By request and take."""
        self._actions: dict[str, Callable[[Frame], None]] = {
            "load": self._load,
            "describe": self._describe,
            "speak": self._speak,
            "speak_batch": self._speak_batch,
            "decode": self._decode,
            "decode_piece": self._decode_piece,
            "sentences": self._sentences,
            "prompt": self._prompt,
            "look": self._look,
            "attend": self._attend,
            "recall": self._recall,
            "what_if": self._what_if,
        }

    def serve(self) -> None:
        """Answer requests until a `shutdown`; the end of the requests ends the whole process at once."""
        writer = threading.Thread(target=self._write, name="writer", daemon=True)
        writer.start()
        threading.Thread(target=self._read, name="reader", daemon=True).start()
        while (frame := self._next()).kind != "shutdown":
            self._answer(frame)
        self._outgoing.put(None)
        writer.join()

    def _next(self) -> Frame:
        return self._waiting.popleft() if self._waiting else self._arrived.get()

    def _answer(self, frame: Frame) -> None:
        """Do one request; whatever goes wrong is one line for the client, and the process lives on."""
        try:
            self._actions[frame.kind](frame)
        except UserError as error:
            self._send(Frame("error", frame.request, frame.take, {"text": str(error), "user": True}))
        # A process boundary: the client gets a line, the log the traceback, and the next request is served.
        except Exception as error:
            traceback.print_exc()
            text = f"The model process failed with {type(error).__name__}: {error}".splitlines()[0]
            self._send(Frame("error", frame.request, frame.take, {"text": text, "user": False}))

    def _load(self, frame: Frame) -> None:
        def report(progress: Progress) -> None:
            body = {"doing": progress.doing, "fraction": progress.fraction}
            self._send(Frame("progress", frame.request, body=body))

        description = self._service.load(ModelChoice(**frame.body), report)
        self._send(Frame("described", frame.request, body=description_to_body(description)))

    def _describe(self, frame: Frame) -> None:
        self._send(Frame("described", frame.request, body=description_to_body(self._service.describe())))

    def _speak(self, frame: Frame) -> None:
        control = self._controls[frame.request, frame.take]
        try:
            asked = fork_in(frame.body, frame.arrays) or asked_from_body(frame.body, frame.arrays)
            generation = self._service.begin(asked, control)
            body, arrays = begun_to_body(self._service.begun(generation.request))
            self._send(Frame("begun", frame.request, generation.request.take, body, arrays))
            told = 0
            for step in generation:
                self._send(step_to_frame(step, frame.request))
                told = self._tell_refusals(frame, control, told)
                self._serve_between_steps()
            self._made(frame, generation.take)
        finally:
            del self._controls[frame.request, frame.take]

    def _speak_batch(self, frame: Frame) -> None:
        """Make takes at once; one that is broken off is over before the others are."""
        rows = frame.body["rows"]
        controls = {name: self._controls[frame.request, name] for name in rows}
        try:
            ask = asked_from_body(frame.body, frame.arrays)
            assert isinstance(ask, Ask)
            generation = self._service.begin_batch(ask, rows, controls)
            for request in generation.requests:
                body, arrays = begun_to_body(self._service.begun(request))
                self._send(Frame("begun", frame.request, request.take, body, arrays))
            told, over = dict.fromkeys(rows, 0), set()
            for step in generation:
                self._send(step_to_frame(step, frame.request))
                row = replace(frame, take=step.take)
                told[step.take] = self._tell_refusals(row, controls[step.take], told[step.take])
                if step.ended == "cancel":
                    over.add(step.take)
                    self._made(frame, generation.take(step.take))
                self._serve_between_steps()
            for take in generation.takes:
                if take.request.take not in over:
                    self._made(frame, take)
        finally:
            for name in rows:
                del self._controls[frame.request, name]

    def _made(self, frame: Frame, take: Take) -> None:
        body, arrays = made_to_body(self._service.made(take))
        self._send(Frame("made", frame.request, take.request.take, body, arrays))

    def _tell_refusals(self, frame: Frame, control: LiveControl, told: int) -> int:
        for event, reason in control.refused[told:]:
            body = {"event": event_to_dict(event), "reason": reason}
            self._send(Frame("refused", frame.request, frame.take, body))
        return len(control.refused)

    def _serve_between_steps(self) -> None:
        while not self._arrived.empty():
            frame = self._arrived.get()
            if frame.kind in BETWEEN_STEPS:
                self._answer(frame)
            else:
                self._waiting.append(frame)

    def _decode(self, frame: Frame) -> None:
        segments = segments_from_body(frame.body, frame.arrays)
        wave = self._service.decode(segments, frame.body["wanted"])
        self._send(Frame("wave", frame.request, arrays={"wave": wave}))

    def _decode_piece(self, frame: Frame) -> None:
        body = frame.body
        wave = self._service.decode_piece(
            body["name"], frame.arrays["codes"], first=body["first"], last=body["last"]
        )
        self._send(Frame("wave", frame.request, arrays={"wave": wave}))

    def _sentences(self, frame: Frame) -> None:
        sentences = self._service.sentences(**frame.body)
        body = {"sentences": [asdict(sentence) for sentence in sentences]}
        self._send(Frame("sentences", frame.request, body=body))

    def _prompt(self, frame: Frame) -> None:
        prompt = self._service.prompt(frame.body["voice"], frame.body["start"], frame.body["seconds"])
        arrays = {"codes": prompt.codes}
        self._send(Frame("prompted", frame.request, body=voice_to_body(prompt), arrays=arrays))

    def _look(self, frame: Frame) -> None:
        try:
            body, arrays = view_to_body(self._service.look(look_from_body(frame.body)))
        except ForgottenStepError:
            body, arrays = {}, {}
        self._send(Frame("looked", frame.request, frame.take, body, arrays))

    def _attend(self, frame: Frame) -> None:
        look = AttentionLook(**frame.body["look"])
        request = request_from_body(frame.body["request"], frame.arrays)
        body, arrays = attention_to_body(self._service.attend(look, request, frame.arrays["level_0"]))
        self._send(Frame("attended", frame.request, frame.take, body, arrays))

    def _what_if(self, frame: Frame) -> None:
        answer = self._service.what_if(*asked_what_if_from_body(frame.body, frame.arrays))
        body, arrays = what_if_to_body(answer)
        self._send(Frame("supposed", frame.request, frame.take, body, arrays))

    def _recall(self, frame: Frame) -> None:
        """Make a take again; whatever else is asked for comes first."""
        for _ in self._service.recall(*recall_from_body(frame.body, frame.arrays)):
            self._serve_between_steps()
            if self._waiting:
                break
        self._send(Frame("recalled", frame.request, frame.take, {"whole": not self._waiting}))

    def _send(self, frame: Frame) -> None:
        self._outgoing.put(encode(frame))

    def _write(self) -> None:
        while (data := self._outgoing.get()) is not None:
            try:
                self._answers.write(data)
                self._answers.flush()
            except BrokenPipeError:
                os._exit(0)

    def _read(self) -> None:
        """Sort what comes in; a take's changes go to it at once, past whatever is being computed."""
        try:
            while (frame := read_frame(self._requests)) is not None:
                if frame.kind == "change":
                    if (control := self._controls.get((frame.request, frame.take))) is not None:
                        control.put(event_from_dict(frame.body))
                    continue
                if frame.kind == "speak":
                    schedule = [event_from_dict(event) for event in frame.body["schedule"]]
                    fork = fork_in(frame.body, frame.arrays)
                    scheduled = ScheduledControl(schedule) if fork is None else fork.control()
                    self._controls[frame.request, frame.take] = LiveControl(scheduled)
                if frame.kind == "speak_batch":
                    for name in frame.body["rows"]:
                        self._controls[frame.request, name] = LiveControl()
                self._arrived.put(frame)
        # Without requests there is nobody left to serve: say why in the log and go.
        except Exception:
            traceback.print_exc()
            sys.stderr.flush()
            os._exit(1)
        os._exit(0)
