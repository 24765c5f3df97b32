"""Looking at decisions through the lab: asked for only when somebody looks, made again where forgotten."""

from __future__ import annotations

from dataclasses import replace

import pytest

from bench import Bench
from valle.errors import UserError
from valle.step import Place
from valle_lab.lab import sight
from valle_lab.views import Look


@pytest.fixture(autouse=True)
def no_pace(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sight, "PACE", 0.0)


def test_nobody_looks_and_nothing_is_asked(bench: Bench) -> None:
    bench.speak(steps=5)
    assert bench.workers[0].service.looks == []
    bench.lab.sight.look(Look("take-1"))
    bench.lab.poll()
    bench.lab.sight.look(None)
    bench.workers[0].allow(3)
    bench.lab.poll()
    assert len(bench.workers[0].service.looks) == 1


def test_the_newest_step_is_followed_while_the_take_runs(bench: Bench) -> None:
    lab, look = bench.lab, Look("take-1")
    lab.sight.look(look)
    assert lab.sight.view is None
    bench.speak(steps=5)
    assert "view" in {*lab.poll().subjects, *lab.poll().subjects}
    assert lab.sight.view is not None and lab.sight.view.place == Place(0, "ar", 0, 4)
    lab.poll()
    assert len(bench.workers[0].service.looks) == 1, "nothing new, nothing asked"
    bench.workers[0].allow(2)
    for _ in range(3):
        lab.poll()
    assert lab.sight.view.place == Place(0, "ar", 0, 6)


def test_a_chosen_step_is_asked_for_once_and_stays(bench: Bench) -> None:
    bench.speak()
    place = Place(0, "nar", 3, 0)
    bench.lab.sight.look(Look("take-1", place, 7))
    bench.lab.wait()
    bench.lab.poll()
    view = bench.lab.sight.view
    assert view is not None and (view.place, view.position) == (place, 7)
    assert len(bench.workers[0].service.looks) == 1


def test_what_the_worker_has_forgotten_is_made_again(bench: Bench) -> None:
    bench.speak()
    service = bench.workers[0].service
    service.forgotten.add("take-1")
    answer = bench.lab.see(Look("take-1", Place(0, "ar", 0, 2)))
    bench.lab.wait()
    assert answer.result(0).place.step == 2 and not service.forgotten
    assert len(service.looks) == 2


def test_the_end_of_a_finished_take_has_a_place(bench: Bench) -> None:
    bench.speak()
    answer = bench.lab.see(Look("take-1"))
    bench.lab.wait()
    assert answer.result(0).place == Place(0, "nar", 7, 0)


def test_what_cannot_be_seen_says_why(bench: Bench) -> None:
    assert "no take 'take-9'" in str(bench.lab.see(Look("take-9")).exception())
    bench.speak()
    bench.workers[0].service.forgotten.add("take-1")
    assert bench.lab.description is not None
    bench.lab.description = replace(bench.lab.description, model_hash="b" * 64)
    bench.lab.sight.look(Look("take-1", Place(0, "ar", 0, 2)))
    bench.lab.wait()
    bench.lab.poll()
    assert bench.lab.sight.view is None and "made with another model, fake" in bench.lab.sight.failure
    bench.workers[0].kill()
    with pytest.raises(UserError, match="not running"):
        bench.lab.see(Look("take-1", Place(0, "ar", 0, 2))).result(0)
