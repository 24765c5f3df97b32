"""Seed sheets: what is made, in which order it is heard, what is kept of it, and what is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench import Bench
from valle.errors import UserError
from valle_lab.failures import Check
from valle_lab.lab.sheet import SHEET_KEYS, Sheet, parse_seeds
from valle_lab.session.opinions import ratings_of
from valle_lab.session.save import load_session
from valle_lab.text_views import in_words

SLOW = "A slow text."


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    made = Bench(tmp_path)
    made.lab.run("text.set", "Some words.")
    made.workers[0].allow()
    return made


def made(bench: Bench, line: str = "sheet.make 4 7") -> Sheet:
    sheet = bench.lab.run_line(line)
    bench.lab.wait()
    assert isinstance(sheet, Sheet)
    return sheet


def with_strains(sheet: Sheet, *strains: tuple[float, ...]) -> None:
    """Put these checks in the place of what was found."""
    for take, values in zip(sheet.takes, strains, strict=True):
        names = ("pace", "run")
        sheet._checks[take.name] = tuple(Check(n, "?", v) for n, v in zip(names, values, strict=True))


def test_seeds_are_those_named_locked_or_drawn(bench: Bench) -> None:
    assert [take.seed for take in made(bench).takes] == [7, 8, 9, 10]
    assert [take.seed for take in made(bench, "sheet.seeds 5 1 3-4").takes] == [5, 1, 3, 4]
    bench.lab.run("seed.set", 2**64 - 2)
    assert [take.seed for take in made(bench, "sheet.make 2").takes] == [2**64 - 2, 2**64 - 1]
    bench.lab.run("seed.lock")
    first, second = made(bench, "sheet.make 2"), made(bench, "sheet.make 2")
    assert first.takes[0].seed != second.takes[0].seed
    assert first.takes[1].seed == first.takes[0].seed + 1
    assert len({take.name for take in bench.lab.takes}) == len(bench.lab.takes) == 14


def test_rows_are_seen_as_they_are_made(bench: Bench) -> None:
    bench.workers[0].allow(0)
    sheet = bench.lab.run("sheet.make", 3, 1)
    assert not sheet.over and bench.lab.busy
    bench.workers[0].allow(8)
    bench.lab.poll()
    view = sheet.view()
    assert [row.take for row in view.rows] == [take.name for take in sheet.takes], "in the order of seeds"
    assert "AR frame" in view.rows[0].doing and 0 < view.rows[0].fraction < 1 and not view.over
    bench.workers[0].allow()
    bench.lab.wait()
    assert sheet.view().over and {row.doing for row in sheet.view().rows} == {""}
    assert not bench.lab.works


def test_every_row_is_checked_with_its_sound(bench: Bench) -> None:
    for row in made(bench).view().rows:
        assert {check.name for check in row.checks} >= {"stop", "pace", "silence", "run"}
        assert row.seconds == pytest.approx(20 / 75)


def test_the_best_come_first_and_other_orders_can_be_had(bench: Bench) -> None:
    sheet = made(bench)
    with_strains(sheet, (2.0, 0.1), (0.9, 0.2), (0.3, 0.8), (1.0, 1.5))
    assert [row.seed for row in sheet.view().rows] == [9, 8, 7, 10]
    assert sheet.view().rows[3].failures == ("pace", "run")
    assert [row.seed for row in bench.lab.run("sheet.sort", "run").rows] == [7, 8, 9, 10]
    assert [row.seed for row in bench.lab.run("sheet.sort", "pace").rows] == [9, 8, 10, 7]
    with pytest.raises(UserError, match="sorted by failures"):
        bench.lab.run("sheet.sort", "beauty")


def test_single_keys_hear_keep_and_drop(bench: Bench) -> None:
    lab, sheet = bench.lab, made(bench)
    with_strains(sheet, (0.4, 0.0), (0.3, 0.0), (0.2, 0.0), (0.1, 0.0))
    heard = []
    for key in "nkdbrn":
        lab.run(SHEET_KEYS[key])
        lab.wait()
        assert sheet.heard is not None and lab.playing == sheet.heard.name and lab.chosen is sheet.heard
        heard.append(sheet.heard.seed)
    assert heard == [10, 9, 8, 10, 10, 8], "what was dropped is passed over"
    assert [(row.seed, row.kept, row.dropped) for row in sheet.view().rows][:2] == [
        (10, True, False),
        (9, False, True),
    ]
    lab.run("sheet.keep", "2")
    assert sheet.sorted[1].kept and not sheet.sorted[1].hidden, "a dropped one can be kept after all"
    lab.run("sheet.next")
    assert lab.run("sheet.next") is None
    assert "last row" in bench.told()[-1].text


def test_what_was_said_stands_in_the_session_and_the_sheet_comes_back(bench: Bench, tmp_path: Path) -> None:
    lab = bench.lab
    sheet = made(bench)
    lab.run("sheet.keep", "1")
    lab.run("sheet.drop", sheet.takes[3].name)
    before = sheet.view()
    file = lab.run("session.save", str(tmp_path / "sheet.json"))
    takes = {take.id: {r.scale: r.value for r in ratings_of(take)} for take in load_session(file).takes}
    assert takes[sheet.sorted[0].name] == {"kept": 1} and takes["take-4"] == {"kept": 0, "hidden": 1}
    lab.run("session.open", str(file))
    assert lab.sheet is None
    again = lab.run("sheet.open")
    lab.wait()
    assert [(row.take, row.kept, row.dropped) for row in again.view().rows] == [
        (row.take, row.kept, row.dropped) for row in before.rows
    ]
    assert lab.run("sheet.open", "take-2").takes == again.takes


def test_a_change_reaches_every_row_and_stop_ends_them_all(bench: Bench) -> None:
    lab = bench.lab
    bench.workers[0].allow(0)
    sheet = lab.run("sheet.make", 3, 1)
    lab.run("stack.set", "temperature.value", 0.5)
    bench.workers[0].allow(10)
    lab.poll()
    bench.workers[0].allow(0)
    lab.run("sheet.stop")
    bench.workers[0].allow()
    lab.wait()
    assert {take.stop for take in sheet.takes} == {"cancel"}
    for take in sheet.takes:
        assert [event.kind for event in take.take.events] == ["set", "cancel"]
    assert all("stop" in row.failures for row in sheet.view().rows)


def test_a_dead_worker_leaves_a_sheet_that_is_over(bench: Bench) -> None:
    bench.workers[0].allow(0)
    sheet = bench.lab.run("sheet.make", 3, 1)
    bench.workers[0].allow(10)
    bench.lab.poll()
    bench.workers[0].kill()
    bench.lab.wait()
    bench.lab.poll()
    assert sheet.over and not bench.lab.works
    assert len([notice for notice in bench.told() if notice.error]) <= 1


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("sheet.make 0", "1 to 64 takes, not 0"),
        ("sheet.make 10000", "1 to 64 takes, not 10000"),
        ("sheet.make 2 18446744073709551615", "seeds of a sheet"),
        ("sheet.make -1", "not -1"),
        ("sheet.seeds 1 2 1", "seed 1 is there twice"),
        ("sheet.seeds 1-100", "1 to 64 takes, not 100"),
        ("sheet.seeds 9-3", "9-3"),
        ("sheet.seeds one", "'one'"),
        ("sheet.seeds 18446744073709551616", "18446744073709551616"),
        ("sheet.show", "there is no sheet"),
        ("sheet.open", "no take yet"),
    ],
)
def test_what_cannot_be_made_is_refused_in_one_line(bench: Bench, line: str, reason: str) -> None:
    with pytest.raises(UserError, match=reason) as refused:
        bench.lab.run_line(line)
    assert "\n" not in str(refused.value) and not bench.lab.takes


def test_rows_that_are_not_there_and_texts_that_are_none(bench: Bench) -> None:
    lab, sheet = bench.lab, made(bench)
    for line in ("sheet.hear 9", "sheet.keep take-77", "sheet.drop 0"):
        with pytest.raises(UserError, match="has no row"):
            lab.run_line(line)
    with pytest.raises(UserError, match="was heard yet"):
        lab.run("sheet.keep")
    bench.speak("Alone.")
    with pytest.raises(UserError, match="not of a sheet"):
        lab.run("sheet.open", lab.takes[-1].name)
    lab.run("text.set", " ")
    with pytest.raises(UserError, match="no text"):
        lab.run("sheet.make", 2)
    assert lab.sheet is sheet


def test_a_text_without_sound_fails_in_every_row(bench: Bench) -> None:
    bench.lab.run("text.set", "!!!")
    sheet = made(bench, "sheet.make 2")
    assert {take.stop for take in sheet.takes} == {"failed"}
    with pytest.raises(UserError, match="never began"):
        bench.lab.run("sheet.keep", "1")


def test_seeds_in_words() -> None:
    assert parse_seeds("3 17, 40-42") == [3, 17, 40, 41, 42]
    with pytest.raises(UserError, match="not 0"):
        parse_seeds("  ")


def test_a_sheet_in_words(bench: Bench) -> None:
    sheet = made(bench)
    lines = in_words(sheet.view())
    assert len(lines) == 5 and "pace" in lines[0] and "take-1" in "".join(lines)
    assert in_words(sheet) == lines
