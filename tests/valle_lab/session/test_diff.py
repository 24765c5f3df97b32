"""Two takes side by side."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from valle.control import Event, ScheduledControl
from valle.errors import UserError
from valle.fork import fork
from valle.step import Place
from valle.take import Take
from valle_lab.cli.common import Common
from valle_lab.cli.diff import diff, find_take
from valle_lab.session import schema
from valle_lab.session.convert import to_session_take
from valle_lab.session.diff import difference
from valle_lab.session.save import save_session
from valle_lab.session.sound import HEARD_DB, mel_distance, sound_difference, strip

Record = Callable[..., schema.Take]


def test_a_take_is_the_same_as_itself(record: Record) -> None:
    found = difference(record(), record())
    assert found.same and found.first is None and not found.asked
    assert all(level.equal == 1 and level.parts_at is None for level in found.levels)


def test_takes_part_where_a_token_was_forced(record: Record) -> None:
    forced = Event("force", value=77, place=Place(1, "ar", 0, 4))
    one, other = record(), record(ScheduledControl([forced]))
    found = difference(one, other)
    assert found.first is not None
    assert (found.first.segment, found.first.phase, found.first.step) == (1, "ar", 4)
    assert found.first.tokens == (int(one.segments[1].levels[0].values()[4]), 77)
    assert list(found.asked) == ["events"]
    by_level = {(level.segment, level.level): level for level in found.levels}
    assert by_level[0, 0].parts_at is None
    assert by_level[1, 0].parts_at == 4
    assert len(found.steps) == 20
    assert found.steps[14].tokens == found.first.tokens
    assert next(iter(found.steps[0].measures)) == "raw"
    json.dumps(found.to_dict(), allow_nan=False)


def test_a_longer_take_parts_at_the_others_end(record: Record) -> None:
    found = difference(record(max_frames=5), record(max_frames=8))
    assert found.first is not None
    assert (found.first.step, found.first.tokens[0]) == (5, None)
    assert found.asked["limits"] == ([5, 8], [8, 8])


def test_the_command_tells_and_prints(
    record: Record, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    session = schema.new_session(record(max_frames=3), record(max_frames=3, take="[red]b", seed=4))
    path = save_session(session, tmp_path / "two.json")
    assert diff(Common(), f"{path}#1", f"{path}#take-1") == 0
    assert "the codes are the same" in capsys.readouterr().out
    assert diff(Common(), f"{path}#1", str(path)) == 1
    told = capsys.readouterr().out
    assert "they part in segment 0, ar.0 step" in told and "A seed: 18446744073709551615" in told
    assert diff(Common(), f"{path}#1", f"{path}#[red]b", json_output=True) == 1
    document = json.loads(capsys.readouterr().out)
    assert document["same"] is False and document["asked"]["seed"][1] == 4


def test_a_take_that_is_not_there_is_told(session: schema.Session, tmp_path: Path) -> None:
    path = save_session(session, tmp_path / "one.json")
    with pytest.raises(UserError, match="has no take '7'; it has take-1"):
        find_take(f"{path}#7")
    with pytest.raises(UserError, match="is not there"):
        find_take(str(tmp_path / "other.json"))


def test_a_fork_parts_where_it_begins(
    record: Record, speak: Callable[..., Take], origin: schema.Origin
) -> None:
    parent = speak()
    begun = fork(parent, Place(1, "ar", 0, 4), "other", force=77)
    child = speak(begun.control(), take="other")
    found = difference(record(), to_session_take(child, origin, parent=begun.parent, fork=begun.place))
    assert found.first is not None and (found.first.segment, found.first.step) == (1, 4)
    assert found.asked["fork"] == (None, "take-1 1/ar.0:4")


def tone(frequency: float, seconds: float, level: float = 0.3) -> np.ndarray:
    return (level * np.sin(np.arange(int(24_000 * seconds)) * 2 * np.pi * frequency / 24_000)).astype(
        np.float32
    )


def test_distances_of_sounds_by_hand() -> None:
    one = tone(440, 1.0)
    same = sound_difference(0, one, one)
    assert set(same.distance) == {0.0} and same.parts_at is None and len(same.distance) == 10
    noise = np.random.default_rng(0).normal(0, 0.1, 24_000).astype(np.float32)
    assert mel_distance(noise, noise * np.float32(10**0.25))[5:-5] == pytest.approx(5.0, abs=0.01), (
        "5 dB louder"
    )
    other = np.concatenate([one[:12_000], tone(1800, 0.7)])
    parted = sound_difference(2, one, other)
    assert (parted.segment, parted.seconds) == (2, (1.0, 1.2))
    assert parted.parts_at is not None and 0.4 <= parted.parts_at <= 0.5
    assert max(parted.distance[:4]) < HEARD_DB < min(parted.distance[6:])
    assert sound_difference(0, one[:0], one).distance == ()
    assert strip([0.0, 15.0, 99.0]) == " ▄█"


def test_a_sound_that_cannot_be_made_is_told_in_one_line(
    record: Record, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = save_session(schema.new_session(record(), record(take="b", seed=4)), tmp_path / "two.json")
    assert diff(Common(), f"{path}#1", f"{path}#b") == 1
    (line,) = [line for line in capsys.readouterr().out.splitlines() if "no sound is compared" in line]
    assert "toy" in line
    assert diff(Common(), f"{path}#1", f"{path}#b", json_output=True) == 1
    assert "toy" in json.loads(capsys.readouterr().out)["no_sound"]
    assert diff(Common(), f"{path}#1", f"{path}#b", sound=False) == 1
    told = capsys.readouterr().out
    assert "no sound" not in told and "sound of" not in told
