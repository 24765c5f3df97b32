"""Steps in columns read as the steps that they were made of, number by number."""

from __future__ import annotations

import dataclasses
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from valle.control import Event
from valle.step import Alternative, Place, Step
from valle_lab.packed_steps import PackedSteps, SomeSteps
from valle_lab.session.convert import from_session_take
from valle_lab.session.save import load_session
from valle_lab.shelf import Shelf

EXAMPLES = sorted((Path(__file__).parents[2] / "sessions").glob("*.json"))


def same(one: Any, other: Any) -> bool:
    """Equal in type, shape and every number, down to the last array."""
    if type(one) is not type(other):
        return False
    if isinstance(one, np.ndarray):
        return one.dtype == other.dtype and np.array_equal(one, other, equal_nan=one.dtype.kind == "f")
    if isinstance(one, tuple):
        return len(one) == len(other) and all(map(same, one, other))
    if dataclasses.is_dataclass(one):
        names = [field.name for field in dataclasses.fields(one)]
        return all(same(getattr(one, name), getattr(other, name)) for name in names)
    return bool(one == other)


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_every_number_of_the_examples_comes_back(path: Path) -> None:
    for record in load_session(path).takes:
        steps = from_session_take(record).steps
        packed = PackedSteps(steps)
        assert len(packed) == len(steps) > 10
        assert all(same(one, other) for one, other in zip(steps, packed, strict=True))
        assert same(steps[-1], packed[-1]) and same(tuple(steps[2:9:3]), tuple(packed[2:9:3]))
        some = SomeSteps(packed, [7, 3])
        assert same(tuple(steps[at] for at in (7, 3)), tuple(some)) and same(steps[3], some[-1])


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_from_a_shelf_every_number_comes_back_and_none_stays_in_memory(path: Path) -> None:
    shelf = Shelf(most_loaded=1)
    takes = [from_session_take(record).steps for record in load_session(path).takes] * 2
    packed = [PackedSteps(steps, shelf) for steps in takes]
    for steps, put in zip(takes, packed, strict=True):
        assert same(tuple(steps), tuple(put))
        assert put.nbytes < PackedSteps(steps).nbytes / 4
    assert same(takes[0][5], packed[0][5])


def test_the_shelf_lies_where_it_is_told_to(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "nowhere"))
    (record, *_) = load_session(EXAMPLES[0]).takes
    steps = from_session_take(record).steps
    packed = PackedSteps(steps, Shelf(tmp_path / "sessions"))
    assert packed.nbytes < PackedSteps(steps).nbytes / 4 and same(tuple(steps), tuple(packed))
    assert not list((tmp_path / "sessions").iterdir()), "the file has no name"


def test_a_full_disk_leaves_the_numbers_in_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(**_: Any) -> Any:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(tempfile, "TemporaryFile", full)
    (record, *_) = load_session(EXAMPLES[0]).takes
    steps = from_session_take(record).steps
    assert same(tuple(steps), tuple(PackedSteps(steps, Shelf())))


def test_what_is_rare_comes_back() -> None:
    place = Place(0, "ar", 0, 0)
    token = np.array([5], np.int16)
    event = Event("set", "temperature.value", 0.5, place)
    other = Alternative(np.array([1, 2], np.int16), -3.0, -1.5, True)
    steps = [
        Step("a", place, token, token, hypothesis=3, events=(event,), seconds=0.25),
        Step("a", Place(1, "ar", 0, 7), token, token, within_reach=np.array([True])),
        Step("a", Place(1, "ar", 0, 8), token[:0], token[:0], ended="finish", others=(other,)),
    ]
    assert same(tuple(steps), tuple(PackedSteps(steps)))


def test_nothing_packs_into_nothing_and_the_end_is_an_end() -> None:
    packed = PackedSteps([])
    assert list(packed) == [] and packed[:3] == []
    with pytest.raises(IndexError):
        packed[0]


def test_columns_are_little_more_than_their_numbers() -> None:
    (record, *_) = load_session(EXAMPLES[0]).takes
    steps = from_session_take(record).steps
    numbers = sum(array.nbytes for step in steps for array in _arrays(step))
    assert numbers <= PackedSteps(steps).nbytes < numbers + 64 * len(steps)


def _arrays(value: Any) -> list[np.ndarray]:
    if isinstance(value, np.ndarray):
        return [value]
    if isinstance(value, tuple):
        return [array for part in value for array in _arrays(part)]
    if dataclasses.is_dataclass(value):
        return [a for f in dataclasses.fields(value) for a in _arrays(getattr(value, f.name))]
    return []
