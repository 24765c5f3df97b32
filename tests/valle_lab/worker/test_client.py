"""A real model process with an engine without a model: requests, live changes, errors, noise and death."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from fake_engine import STACK, factory

from valle.control import Event
from valle.errors import UserError
from valle.step import Place
from valle_lab.worker.client import WorkerClient
from valle_lab.worker.inprocess import InProcessWorker
from valle_lab.worker.messages import Ask, ModelChoice, Progress
from valle_lab.worker.surface import Worker, WorkerClosedError, WorkerError

ENGINE = "fake_engine:factory"


Start = Callable[[], WorkerClient]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Starts model processes, and ends them after the test."""
    clients: list[WorkerClient] = []

    def start_one() -> WorkerClient:
        clients.append(WorkerClient(tmp_path / "worker.log", engine=ENGINE))
        clients[-1].load(ModelChoice()).result(60)
        return clients[-1]

    yield start_one
    for client in clients:
        client.close()


@pytest.fixture
def client(fake_process: WorkerClient) -> WorkerClient:
    """One model process for all tests that leave it alive."""
    fake_process.load(ModelChoice()).result(60)
    return fake_process


def test_load_tells_progress_and_what_is_loaded(client: WorkerClient) -> None:
    told: list[Progress] = []
    description = client.load(ModelChoice(), told.append).result(20)
    assert [p.fraction for p in told] == [0.5, 1.0]
    assert (description.model, description.codec, description.phases) == ("fake", "fake-codec", ("ar", "nar"))
    assert description.default_stack == STACK


def test_the_process_and_its_twin_give_the_same_take(client: WorkerClient) -> None:
    twin = InProcessWorker(factory)
    twin.load(ModelChoice())
    workers: tuple[Worker, ...] = (client, twin)
    ask = Ask("Two words. And more.", seed=5, stack=STACK.set("top_k.k", 9))
    schedule = [Event("set", "temperature.value", 0.5, Place(0, "ar", 0, 3))]
    takes, waves = [], []
    for worker in workers:
        speaking = worker.speak(ask, schedule)
        assert [step.place for step in speaking] == [step.place for step in speaking.steps]
        takes.append(speaking.take())
        waves.append(worker.decode(speaking.take().segments).result(20))
    first, second = takes
    assert first.request.stack == second.request.stack == ask.stack
    assert [s.text for s in first.request.sentences] == ["Two words", "And more"]
    assert first.steps[3].events == second.steps[3].events == tuple(schedule)
    assert [s.stop for s in first.segments] == [s.stop for s in second.segments] == ["stop", "stop"]
    for a, b in zip(first.segments, second.segments, strict=True):
        assert all(np.array_equal(x, y) for x, y in zip(a.levels, b.levels, strict=True))
    assert np.array_equal(*waves) and len(waves[0]) == 320 * first.frames


def test_a_request_that_was_resolved_is_spoken_again(client: WorkerClient) -> None:
    first = client.speak(Ask("Again.", seed=3))
    list(first)
    request = first.begun.result().request
    second = client.speak(request)
    assert [s.tokens.tolist() for s in second] == [s.tokens.tolist() for s in first.steps]


@pytest.mark.parametrize("after", [0, 1, 7, 20])
def test_cancel_is_seen_at_the_next_step(client: WorkerClient, after: int) -> None:
    speaking = client.speak(Ask("A long slow sentence to be broken off."))
    if after == 0:
        speaking.cancel()
    for step in speaking:
        if step.place.step == after - 1:
            speaking.cancel()
    last = speaking.steps[-1]
    assert last.ended == "cancel" and last.events[-1].kind == "cancel" and len(last.tokens) == 0
    assert after <= last.place.step <= after + 2
    assert speaking.made.result().segments[-1].stop == "cancel"


def test_finish_does_the_later_levels(client: WorkerClient) -> None:
    speaking = client.speak(Ask("A long slow sentence to be ended early."))
    for step in speaking:
        if step.place.step == 5:
            speaking.finish()
    (segment,) = speaking.made.result().segments
    assert segment.stop == "finish" and 6 <= segment.frames <= 9
    assert segment.codes().shape == (segment.frames, 8)


def test_a_change_that_cannot_be_applied_is_refused_and_the_take_goes_on(client: WorkerClient) -> None:
    speaking = client.speak(Ask("Some slow words."))
    speaking.change(Event("set", "temprature.value", 0.5))
    list(speaking)
    ((event, reason),) = speaking.refused
    assert event.name == "temprature.value" and "temperature" in reason
    assert speaking.made.result().segments[0].stop == "stop"


def test_sound_is_made_while_a_take_runs(client: WorkerClient) -> None:
    speaking = client.speak(Ask("A long slow sentence that goes on and on."))
    iterator = iter(speaking)
    for _ in range(5):
        next(iterator)
    wave = client.decode(speaking.take().segments, 1).result(20)
    assert len(wave) >= 5 * 320
    assert not speaking.made.done()


@pytest.mark.parametrize(
    ("text", "kind", "told"),
    [("...", UserError, "The text has no sound in it."), ("a bug", WorkerError, "RuntimeError: a bug")],
)
def test_errors_are_one_line_and_the_process_lives_on(
    client: WorkerClient, text: str, kind: type[Exception], told: str
) -> None:
    speaking = client.speak(Ask(text))
    with pytest.raises(kind, match=told) as error:
        list(speaking)
    assert "\n" not in str(error.value)
    assert isinstance(speaking.begun.exception(), UserError)
    list(client.speak(Ask("Fine.")))
    if kind is WorkerError:
        assert "Traceback" in client.log.read_text()


def test_a_model_that_is_missing_is_told(client: WorkerClient) -> None:
    with pytest.raises(UserError, match="There is no model 'missing'"):
        client.load(ModelChoice("missing")).result(20)
    with pytest.raises(UserError, match="No model is loaded"):
        client.describe().result(20)
    assert client.load(ModelChoice()).result(20).model == "fake"


def test_unknown_voices_are_told(client: WorkerClient) -> None:
    with pytest.raises(UserError, match="nobody"):
        client.prompt("nobody").result(20)


def test_noise_on_the_process_s_own_outputs_goes_to_the_log(client: WorkerClient) -> None:
    list(client.speak(Ask("Some noise.")))
    log = client.log.read_text()
    assert all(noise in log for noise in ("noise below python", "noise of python", "noise of errors"))


def test_a_killed_process_is_one_line_and_another_can_be_started(start: Start) -> None:
    client = start()
    speaking = client.speak(Ask("A long slow sentence that will never be ended."))
    next(iter(speaking))
    os.kill(client.process_id, signal.SIGKILL)
    with pytest.raises(WorkerError, match=r"^The model process was ended by SIGKILL\.$"):
        list(speaking)
    assert speaking.steps and client.death == "The model process was ended by SIGKILL."
    with pytest.raises(WorkerError, match="SIGKILL"):
        client.describe().result(20)
    assert speaking.take().stop == "cancel"
    list(start().speak(Ask("Again.")))


def test_a_process_that_ends_itself_names_its_log(start: Start) -> None:
    with pytest.raises(WorkerError, match=r"ended with code 7; its log is .*worker\.log"):
        list(start().speak(Ask("A crash.")))


def test_the_process_ends_when_its_client_closes(start: Start) -> None:
    client = start()
    speaking = client.speak(Ask("A slow sentence that takes a while."))
    client.close()
    with pytest.raises(WorkerClosedError):
        list(speaking)
    with pytest.raises(ProcessLookupError):
        os.kill(client.process_id, 0)


def test_steps_wait_for_a_slow_reader(client: WorkerClient) -> None:
    """Nothing is lost and the loop is not held up, however late the steps are looked at."""
    speaking = client.speak(Ask("word " * 200))
    assert speaking.made.result(60).segments[0].stop == "stop"
    assert len(speaking.drain()) == len(speaking.steps) > 1000
    assert speaking.drain() == []


def test_news_are_told_but_not_steps(tmp_path: Path) -> None:
    news = threading.Semaphore(0)
    client = WorkerClient(tmp_path / "log", engine=ENGINE, on_news=news.release)
    client.load(ModelChoice()).result(60)
    speaking = client.speak(Ask("Words."))
    list(speaking)
    client.close()
    count = 0
    while news.acquire(blocking=False):
        count += 1
    assert count == 6, "two of progress, described, begun, made, and the end of the process"
