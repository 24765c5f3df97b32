"""Looking at decisions through the lab: asked for only when somebody looks, made again where forgotten."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from bench import Bench
from valle.errors import UserError
from valle.step import Place
from valle_lab.views import AttentionLook, Look


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Bench:
    """A lab that looks again as soon as there is something new."""
    for pace in ("PACE", "SLOW_PACE"):
        monkeypatch.setattr(f"valle_lab.lab.lab.{pace}", 0.0)
    return Bench(tmp_path)


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
    assert answer.result(0).place == bench.lab.takes[0].timeline.place(-1)


def test_attention_is_asked_for_while_a_pane_is_open(bench: Bench) -> None:
    lab, service = bench.lab, bench.workers[0].service
    lab.attention.look(AttentionLook("take-1", aligned=True))
    bench.speak("Some words. And more.", steps=7)
    lab.poll()
    lab.poll()
    view = lab.attention.view
    assert view is not None and (view.segment, view.row, view.rows) == (0, 7, 8)
    assert view.alignment is not None and view.alignment.map.shape == (8, len("Some words"))
    lab.attention.look(None)
    asked = len(service.looks)
    bench.workers[0].allow()
    lab.wait()
    assert len(service.looks) == asked
    answer = lab.attend(AttentionLook("take-1", segment=1, layer=0, head=2))
    lab.wait()
    last = answer.result(0)
    assert last.rows == lab.takes[0].segments[1].frames + 1 and last.alignment is None
    assert last.head is not None and len(last.head.response) == last.row
    assert "no segment 2" in str(lab.attend(AttentionLook("take-1", segment=2)).exception())


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
