"""What-if through the lab: asked for while it is on, following take, stack and columns."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench import Bench
from valle.errors import UserError
from valle.step import Place
from valle_lab.lab.places import parse_place
from valle_lab.views import TakeLook


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Bench:
    monkeypatch.setattr("valle_lab.lab.whatif.PACE", 0.0)
    return Bench(tmp_path)


def asked(bench: Bench) -> list[TakeLook]:
    return [look for look in bench.workers[0].service.looks if isinstance(look, TakeLook)]


def test_marks_follow_the_edits_of_the_stack_and_the_chosen_take(bench: Bench) -> None:
    lab = bench.lab
    bench.speak()
    assert lab.marks.view is None and asked(bench) == []
    lab.run("whatif.follow")
    lab.wait()
    lab.poll()
    view = lab.marks.view
    assert view is not None and view.first_change == 4 and len(asked(bench)) == 1
    lab.poll()
    assert len(asked(bench)) == 1, "nothing new, nothing asked"
    lab.run("stack.set", "temperature.value", 0.5)
    for _ in range(3):
        lab.poll()
    assert len(asked(bench)) == 2 and "0.5" in str(asked(bench)[-1].stack)
    lab.marks.measure(10, 20)
    for _ in range(3):
        lab.poll()
    assert (asked(bench)[-1].first, asked(bench)[-1].last) == (10, 20)
    bench.speak("Other words.")
    for _ in range(3):
        lab.poll()
    assert asked(bench)[-1].take == "take-2" and lab.marks.view is not None
    lab.run("take.choose", "take-1")
    assert lab.marks.view is None, "no marks of another take"
    lab.run("whatif.follow", False)
    assert lab.marks.view is None and lab.marks.failure == ""


def test_the_cursor_goes_from_mark_to_mark(bench: Bench) -> None:
    lab = bench.lab
    bench.speak()
    with pytest.raises(UserError, match="steps are not marked"):
        lab.run("whatif.next")
    lab.run("whatif.follow", True)
    with pytest.raises(UserError, match="no marks yet"):
        lab.run("whatif.next")
    lab.wait()
    lab.poll()
    assert [lab.run("whatif.next"), lab.run("whatif.next"), lab.run("whatif.next", -1)] == [4, 9, 4]
    assert lab.run("whatif.next", -1) == 19, "round the end"


def test_one_step_is_tried_where_the_cursor_is(bench: Bench) -> None:
    lab = bench.lab
    bench.speak()
    lab.row = 3
    for line, place in (
        ("whatif.step", Place(0, "ar", 0, 3)),
        ("whatif.step 0/7", Place(0, "ar", 0, 7)),
        ("whatif.step nar.2:0", Place(0, "nar", 2, 0)),
    ):
        answer = lab.run_line(line)
        lab.wait()
        view = answer.result(0)
        assert view.place == place and view.supposed


def test_places_as_a_person_writes_them() -> None:
    assert parse_place("40") == Place(0, "ar", 0, 40)
    assert parse_place("2/nar:0") == Place(2, "nar", 1, 0)
    assert parse_place(str(Place(1, "nar", 3, 0))) == Place(1, "nar", 3, 0)
    for wrong in ("", "x", "-1", "foo:3", "1/2/3", "ar.0"):
        with pytest.raises(UserError, match="must look like"):
            parse_place(wrong)


def test_what_cannot_be_tried_says_why(bench: Bench) -> None:
    with pytest.raises(UserError, match="no take yet"):
        bench.lab.run("whatif.take")
    bench.speak()
    with pytest.raises(UserError, match="no take 'take-9'"):
        bench.lab.run("whatif.take", "take-9")
    bench.lab.run("whatif.follow", True)
    bench.workers[0].kill()
    bench.lab.poll()
    assert "not running" in bench.lab.marks.failure or "no model" in bench.lab.marks.failure
