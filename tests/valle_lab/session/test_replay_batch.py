"""Takes made at once: made again as that batch to the bit, and one by one but for the last digits."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from valle.control import Control, Event, NoControl, ScheduledControl
from valle.inference import Engine
from valle.request import Request
from valle.step import Place
from valle_lab.session import schema
from valle_lab.session.convert import to_session_take
from valle_lab.session.journal import Journal
from valle_lab.session.judge import Mode
from valle_lab.session.replay import Options, Report, replay_batch, replay_file
from valle_lab.session.save import load_session, save_session

EVENTS = (
    (),
    (Event("set", "temperature.value", 0.4, Place(0, "ar", 0, 3)),),
    (Event("cancel", place=Place(1, "ar", 0, 2)),),
    (Event("finish", place=Place(0, "ar", 0, 5)), Event("force", value=9, place=Place(1, "ar", 0, 1))),
)


def requests(request_: Request, count: int = 4) -> list[Request]:
    return [replace(request_, take=f"row-{n}", seed=n, max_frames=5 + n) for n in range(count)]


@pytest.fixture(scope="module")
def sheet(engine: Engine, request_: Request, origin: schema.Origin) -> schema.Session:
    """Four takes made at once, three of them with events."""
    controls = [ScheduledControl(events) for events in EVENTS]
    takes = engine.generate_batch(requests(request_), controls).finish()
    return schema.new_session(*(to_session_take(take, origin) for take in takes))


def reports(session: schema.Session, engine: Engine, folder: Path, options: Options) -> list[Report]:
    return replay_file(save_session(session, folder / "sheet.json"), options, lambda _: engine)


@pytest.mark.parametrize("mode", ["exact", "tolerant", "forced"])
def test_a_batch_is_made_again_to_the_bit(
    sheet: schema.Session, engine: Engine, tmp_path: Path, mode: Mode
) -> None:
    found = reports(sheet, engine, tmp_path, Options(mode))
    assert [(report.verdict, report.batch, report.evidence_difference) for report in found] == [
        ("identical", 4, 0.0)
    ] * 4
    (one,) = reports(sheet, engine, tmp_path, Options(mode, take="row-2"))
    assert (one.take, one.verdict, one.batch) == ("row-2", "identical", 4)


def test_a_batch_is_made_again_once(
    sheet: schema.Session, engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[int] = []
    generate = engine.generate_batch

    def counted(rows: Sequence[Request], controls: Sequence[Control]) -> object:
        made.append(len(rows))
        return generate(rows, controls)

    monkeypatch.setattr(engine, "generate_batch", counted)
    reports(sheet, engine, tmp_path, Options())
    assert made == [4]


@pytest.mark.parametrize("mode", ["tolerant", "forced"])
def test_rows_by_themselves_are_the_same_or_benign(
    sheet: schema.Session, engine: Engine, tmp_path: Path, mode: Mode
) -> None:
    found = reports(sheet, engine, tmp_path, Options(mode, alone=True))
    assert {report.verdict for report in found} <= {"identical", "benign"}
    assert [report.batch for report in found] == [0] * 4
    lonely = schema.new_session(sheet.takes[1])
    (report,) = reports(lonely, engine, tmp_path, Options(mode))
    assert report.verdict in ("identical", "benign") and report.batch == 0


def test_a_row_that_is_another_is_told_and_the_others_are_the_same(
    sheet: schema.Session, engine: Engine, other_engine: Engine, tmp_path: Path
) -> None:
    request = sheet.takes[1].request.model_copy(update={"seed": 99})
    takes = [*sheet.takes]
    takes[1] = takes[1].model_copy(update={"request": request})
    found = reports(schema.new_session(*takes), engine, tmp_path, Options())
    assert [report.verdict for report in found] == ["identical", "diverged", "identical", "identical"]
    assert found[1].kind == "sampler"
    others = reports(sheet, other_engine, tmp_path, Options())
    assert {(report.verdict, report.kind) for report in others} == {("diverged", "model")}


def test_what_is_left_of_a_killed_sheet_replays(
    engine: Engine, request_: Request, origin: schema.Origin, tmp_path: Path
) -> None:
    """The process ended between two rows of one frame: all steps that were written are there."""
    generation = engine.generate_batch(requests(request_))
    with Journal(tmp_path / "killed.jsonl") as journal:
        for request in generation.requests:
            journal.begin(request, origin)
        for _ in range(14):
            journal.step(next(generation))
    session = load_session(tmp_path / "killed.jsonl")
    assert [take.segments[0].levels[0].shape[0] for take in session.takes] == [4, 4, 3, 3]
    assert all(take.events[-1].kind == "cancel" for take in session.takes)
    found = reports(session, engine, tmp_path, Options("exact"))
    assert [(report.verdict, report.batch) for report in found] == [("identical", 4)] * 4


def test_a_replay_can_be_capped(sheet: schema.Session, engine: Engine) -> None:
    judged = replay_batch(sheet.takes, engine, most_steps=3)
    assert [judgement.verdict for judgement, _ in judged] == ["identical"] * 4
    assert [judgement.decisions for judgement, _ in judged] == [3] * 4


def test_two_sheets_that_name_each_other_wrongly_are_made_alone(
    sheet: schema.Session, engine: Engine, tmp_path: Path
) -> None:
    document = json.loads(save_session(sheet, tmp_path / "a.json").read_text())
    document["takes"][0]["request"]["recipe"]["batch"] = ["row-0", "nobody"]
    (tmp_path / "a.json").write_text(json.dumps(document))
    found = replay_file(tmp_path / "a.json", Options(), lambda _: engine)
    assert found[0].batch == 0 and found[0].verdict in ("identical", "benign")
    assert [report.batch for report in found[1:]] == [0, 0, 0]


def test_controls_default_to_none(engine: Engine, request_: Request) -> None:
    rows = requests(request_, 2)
    first = engine.generate_batch(rows).finish()
    second = engine.generate_batch(rows, [NoControl(), NoControl()]).finish()
    assert [take.frames for take in first] == [take.frames for take in second]
