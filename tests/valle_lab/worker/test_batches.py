"""Takes made at once, by a real model process and by its twin: whose step is whose, changes, ends, death."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import numpy as np
import pytest
from fake_engine import FakeEngine, factory

from valle.control import Event
from valle.errors import UserError
from valle_lab.worker.client import WorkerClient
from valle_lab.worker.inprocess import InProcessWorker
from valle_lab.worker.messages import Ask, ModelChoice
from valle_lab.worker.surface import Speaking, Worker, WorkerError

ROWS = {"take-1": 7, "take-2": 8, "take-3": 2**64 - 1}
ASK = Ask("Two words.", take="sheet")


@pytest.fixture
def client(fake_process: WorkerClient) -> WorkerClient:
    fake_process.load(ModelChoice()).result(60)
    return fake_process


@pytest.fixture
def twin() -> InProcessWorker:
    worker = InProcessWorker(factory)
    worker.load(ModelChoice())
    return worker


def heard(rows: dict[str, Speaking]) -> dict[str, list[int]]:
    for row in rows.values():
        list(row)
    return {name: row.take().segments[0].levels[0].tolist() for name, row in rows.items()}


def test_every_row_is_the_take_of_its_seed(client: WorkerClient, twin: InProcessWorker) -> None:
    wanted = {}
    engine = FakeEngine()
    for name, seed in ROWS.items():
        take = engine.generate(engine.request(ASK.text, seed=seed, take=name))
        list(take)
        wanted[name] = take.take.segments[0].levels[0].tolist()
    workers: tuple[Worker, ...] = (client, twin)
    for worker in workers:
        rows = worker.speak_batch(ASK, ROWS)
        assert heard(rows) == wanted
        for name, row in rows.items():
            begun = row.begun.result(5)
            assert (begun.request.take, begun.request.seed) == (name, ROWS[name])
            assert begun.request.recipe.batch == tuple(ROWS)
            assert {step.take for step in row.steps} == {name}


def test_changes_go_to_their_own_row_and_a_cancelled_one_is_over_at_once(client: WorkerClient) -> None:
    rows = client.speak_batch(Ask("slow and long words"), ROWS)
    rows["take-1"].change(Event("set", "temperature.value", 0.5))
    rows["take-2"].cancel()
    rows["take-3"].change(Event("set", "nothing.value", 0.5))
    rows["take-2"].made.result(20)
    assert not rows["take-1"].made.done() and rows["take-2"].take().stop == "cancel"
    heard(rows)
    assert [event.kind for event in rows["take-1"].take().events] == ["set"]
    assert [reason for _, reason in rows["take-3"].refused] and not rows["take-1"].refused
    assert client.describe().result(20).model == "fake"


def test_it_answers_between_the_steps_of_a_batch(client: WorkerClient) -> None:
    rows = client.speak_batch(Ask("slow and long words"), ROWS)
    rows["take-1"].begun.result(20)
    client.describe().result(20)
    assert not rows["take-3"].made.done()
    assert all(len(codes) == 38 for codes in heard(rows).values())


@pytest.mark.parametrize(("text", "kind"), [("!!!", UserError), ("bug", WorkerError)])
def test_a_batch_that_cannot_be_made_fails_in_all_rows(
    client: WorkerClient, twin: InProcessWorker, text: str, kind: type[Exception]
) -> None:
    rows = client.speak_batch(Ask(text), ROWS)
    for row in rows.values():
        with pytest.raises(kind):
            row.made.result(20)
        assert row.begun.exception() is not None
    for row in twin.speak_batch(Ask(text), ROWS).values():
        assert row.made.exception() is not None
    assert np.isfinite(client.decode([]).result(20)).all(), "it goes on"


def test_a_batch_of_a_worker_that_died_fails_in_a_line(tmp_path: Path) -> None:
    client = WorkerClient(tmp_path / "worker.log", engine="fake_engine:factory")
    client.load(ModelChoice()).result(60)
    rows = client.speak_batch(Ask("slow and long words"), ROWS)
    rows["take-2"].begun.result(20)
    os.kill(client.process_id, signal.SIGKILL)
    for row in rows.values():
        with pytest.raises(WorkerError, match="SIGKILL"):
            row.made.result(20)
    client.close()
