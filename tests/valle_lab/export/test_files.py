"""The files of an export: what stands in them is what stands in the session."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import numpy as np
import pytest

from valle.errors import UserError
from valle_lab.export.files import export_session
from valle_lab.export.material import Wanted
from valle_lab.export.tables import codes_file, trace_columns, trace_file
from valle_lab.lab.session import lab_takes
from valle_lab.session.save import load_session
from valle_lab.session.schema import new_session

SESSIONS = Path(__file__).parents[3] / "sessions"


def nobody(record: object) -> None:
    raise UserError("the model is not here")


def test_the_codes_are_those_of_the_session() -> None:
    (take,) = lab_takes(load_session(SESSIONS / "two-sentences.json"))
    arrays = np.load(io.BytesIO(codes_file(take.take)))
    assert set(arrays) == {"segment_0", "segment_1", "prompt"}
    for number, segment in enumerate(take.segments):
        codes = arrays[f"segment_{number}"]
        assert codes.dtype == np.int16 and codes.shape == (segment.frames, 8)
        assert all((codes[:, level] == segment.levels[level]).all() for level in range(8))


def test_the_trace_has_a_row_for_every_token_and_the_measures_of_every_stage() -> None:
    (take,) = lab_takes(load_session(SESSIONS / "tweaks.json"))
    rows = list(csv.DictReader(io.StringIO(trace_file(take.take).decode())))
    assert len(rows) == sum(len(step.tokens) for step in take.steps)
    ar = [row for row in rows if row["phase"] == "ar"]
    for row, step in zip(ar, take.timeline.decisions, strict=True):
        assert int(row["token"]) == step.tokens[0]
        assert float(row["raw.entropy"]) == pytest.approx(float(step.measures[0].entropy[0]), rel=1e-5)
        assert int(row["final.kept"]) == step.measures[-1].kept[0]
    late = ar[95]
    assert late["repetition_penalty.kept"] == "1025" and ar[5]["repetition_penalty.kept"] == ""
    assert [row["changes"] for row in ar if row["changes"]] == [
        "set ar:temperature.value 1.1",
        "set ar:temperature.value 0.6; set ar:top_k.k 20",
        "set ar:repetition_penalty.penalty 1.3",
    ]
    assert ar[-1]["token"] == "1024" and ar[-1]["ended"] == "stop"
    nar = [row for row in rows if row["phase"] == "nar" and row["level"] == "3"]
    assert (
        len(nar) == take.take.frames and nar[75]["seconds"] == "1.0" and nar[0]["raw.stop_probability"] == ""
    )
    columns = trace_columns(take.take)
    assert columns["token"] == [int(row["token"]) for row in rows] and len(columns) == len(rows[0])


def test_takes_of_any_name_get_files_of_their_own(tmp_path: Path) -> None:
    record = load_session(SESSIONS / "greedy.json").take()
    ids = ("../../up", "up", "UP", "a/b", "\u2603", "CON")
    session = new_session(*(record.model_copy(update={"id": id}) for id in ids))
    done = export_session(session, "many", tmp_path / "out", nobody, kinds=("codes",))
    names = [file.name for take in done.takes for file in take.files]
    assert len({name.lower() for name in names}) == len(ids)
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == sorted(names)
    assert all(take.known.left_out == "the model is not here" for take in done.takes)
    assert done.page is None and [path.name for path in tmp_path.iterdir()] == ["out"]


def test_what_there_is_not_is_told(tmp_path: Path) -> None:
    session = load_session(SESSIONS / "greedy.json")
    quick = Wanted(model=False)
    with pytest.raises(UserError, match="greedy has no take 'x'; it has take"):
        export_session(session, "greedy", tmp_path, nobody, wanted=quick, take="x")
    with pytest.raises(UserError, match=r"take has the decisions 0 to \d+, not 5000"):
        export_session(session, "greedy", tmp_path, nobody, wanted=Wanted(row=5000, model=False))
    with pytest.raises(UserError, match="greedy has no take to export"):
        export_session(new_session(), "greedy", tmp_path, nobody, wanted=quick)
    assert list(tmp_path.iterdir()) == []
