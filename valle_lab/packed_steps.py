"""The steps of a take that is over, in columns: a Step is forty small arrays, and costs ten times its
numbers."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import MISSING, dataclass, fields
from typing import Any, overload

import numpy as np
from numpy.typing import NDArray

from valle.step import Evidence, Place, StageMeasures, Step
from valle_lab.shelf import Shelf

Array = NDArray[Any]
NESTED = {"evidence": Evidence, "null_evidence": Evidence}
NUMBERS = {"hypothesis": np.int32, "exit_layer": np.int16, "drafted": np.int16, "seconds": np.float64}
USUAL = {
    field.name: field.default_factory() if field.default_factory is not MISSING else field.default
    for field in fields(Step)
}
_ARRAYS_OF = {kind: [field.name for field in fields(kind)] for kind in (Evidence, StageMeasures)}


@dataclass(frozen=True, slots=True)
class _Columns:
    """Steps that are alike but for their numbers; every array is [steps, ...]."""

    phase: str
    stages: tuple[str, ...]
    numbers: dict[str, dict[str, int]]
    """Which arrays, by the part of the step: `` for its own, `measures.0`, `evidence`."""

    def part(self, arrays: Sequence[Array], part: str, row: int) -> dict[str, Any]:
        """The numbers of one step in one of its parts."""
        return {name: arrays[at][row] for name, at in self.numbers.get(part, {}).items()}


class PackedSteps(Sequence[Step]):
    """Reads as a list of steps; every step is made anew when it is asked for."""

    def __init__(self, steps: Iterable[Step], shelf: Shelf | None = None) -> None:
        """With a shelf the columns are put there."""
        alike: dict[Any, list[tuple[int, dict[str, Array]]]] = {}
        places: list[tuple[int, int, int]] = []
        numbers: dict[str, list[float]] = {name: [] for name in NUMBERS}
        self._take = ""
        self._rare: dict[int, dict[str, Any]] = {}
        """What only few steps have, as events and an end."""
        for at, step in enumerate(steps):
            arrays = _arrays(step)
            shapes = tuple((name, array.dtype.str, array.shape) for name, array in arrays.items())
            stages = tuple(measures.stage for measures in step.measures)
            alike.setdefault((step.place.phase, stages, shapes), []).append((at, arrays))
            places.append((step.place.segment, step.place.level, step.place.step))
            for name, values in numbers.items():
                values.append(getattr(step, name))
            if rare := _rare(step, arrays):
                self._rare[at] = rare
            self._take = step.take
        self._places = np.array(places, np.int32).reshape(-1, 3)
        self._numbers = {name: np.array(values, NUMBERS[name]) for name, values in numbers.items()}
        self._where = np.zeros((len(places), 2), np.int32)
        """Of every step: which columns, and which row of them."""
        self._columns: list[_Columns] = []
        held: list[Array] = []
        for (phase, stages, shapes), found in alike.items():
            columns: dict[str, dict[str, int]] = {}
            for name, _, _ in shapes:
                part, _, own = name.rpartition(".")
                columns.setdefault(part, {})[own] = len(held)
                held.append(np.stack([arrays[name] for _, arrays in found]))
            for row, (at, _) in enumerate(found):
                self._where[at] = len(self._columns), row
            self._columns.append(_Columns(phase, stages, columns))
        self._shelf = shelf
        self._lot = shelf.put(held) if shelf is not None else None
        self._held = tuple(held) if self._lot is None else ()

    def __len__(self) -> int:
        return len(self._places)

    @overload
    def __getitem__(self, at: int) -> Step: ...
    @overload
    def __getitem__(self, at: slice) -> list[Step]: ...
    def __getitem__(self, at: int | slice) -> Step | list[Step]:
        if isinstance(at, slice):
            return [self[number] for number in range(*at.indices(len(self)))]
        at = range(len(self))[at]
        which, row = self._where[at].tolist()
        columns, arrays = self._columns[which], self._arrays
        segment, level, step = self._places[at].tolist()
        values = columns.part(arrays, "", row)
        for name, kind in NESTED.items():
            if numbers := columns.part(arrays, name, row):
                values[name] = kind(**numbers)
        values["measures"] = tuple(
            StageMeasures(stage, **columns.part(arrays, f"measures.{index}", row))
            for index, stage in enumerate(columns.stages)
        )
        values |= {name: column[at].item() for name, column in self._numbers.items()}
        place = Place(segment, columns.phase, level, step)
        return Step(take=self._take, place=place, **{**values, **self._rare.get(at, {})})

    @property
    def nbytes(self) -> int:
        """Of all columns in memory."""
        return sum(
            array.nbytes for array in (*self._held, self._places, self._where, *self._numbers.values())
        )

    @property
    def _arrays(self) -> Sequence[Array]:
        if self._shelf is not None and self._lot is not None:
            return self._shelf.arrays(self._lot)
        return self._held


class SomeSteps(Sequence[Step]):
    """Some of the steps of a take, made anew like all of them."""

    def __init__(self, steps: PackedSteps, which: Sequence[int]) -> None:
        self._steps = steps
        self._which = np.array(which, np.int32)

    def __len__(self) -> int:
        return len(self._which)

    @overload
    def __getitem__(self, at: int) -> Step: ...
    @overload
    def __getitem__(self, at: slice) -> list[Step]: ...
    def __getitem__(self, at: int | slice) -> Step | list[Step]:
        if isinstance(at, slice):
            return [self._steps[number] for number in self._which[at].tolist()]
        return self._steps[int(self._which[at])]


def _arrays(step: Step) -> dict[str, Array]:
    found = {field.name: getattr(step, field.name) for field in fields(Step)}
    for name in NESTED:
        if (numbers := found.pop(name)) is not None:
            found |= {f"{name}.{inner}": getattr(numbers, inner) for inner in _ARRAYS_OF[Evidence]}
    for index, measures in enumerate(step.measures):
        found |= {
            f"measures.{index}.{inner}": getattr(measures, inner) for inner in _ARRAYS_OF[StageMeasures]
        }
    return {name: value for name, value in found.items() if isinstance(value, np.ndarray)}


def _rare(step: Step, arrays: dict[str, Array]) -> dict[str, Any]:
    """The fields that are no columns, where they are not as usual."""
    columns = {*arrays, *NESTED, *NUMBERS, "take", "place", "measures"}
    values = {name: getattr(step, name) for name in USUAL if name not in columns}
    return {
        name: value for name, value in values.items() if value is not USUAL[name] and value != USUAL[name]
    }
