"""The rows of a take's timeline: numbers of its steps, places, seconds, and where it was surprised."""

from __future__ import annotations

import numpy as np
import pytest

from bench import Bench
from valle_lab.lab.columns import FIRST_ROOM, Columns
from valle_lab.lab.timeline import peaks


def test_columns_grow_and_give_views() -> None:
    columns = Columns("a", "b")
    assert len(columns) == 0 and columns["b"].shape == (0,)
    for number in range(3 * FIRST_ROOM):
        columns.append(number, -number)
    assert len(columns) == 3 * FIRST_ROOM
    assert np.array_equal(columns["a"], np.arange(3 * FIRST_ROOM))
    assert np.array_equal(columns["b"], -columns["a"])
    assert columns["a"].base is not None, "reading copies nothing"


def test_a_timeline_has_a_row_for_each_decision_of_level_0(bench: Bench) -> None:
    bench.speak("One. Two.")
    (take,) = bench.lab.takes
    line = take.timeline
    steps = [step for step in take.steps if step.place.phase == "ar"]
    assert len(line) == len(steps) == len(line.decisions)
    assert line.values("entropy").tolist() == [float(step.measures[0].entropy[0]) for step in steps]
    assert line.values("margin").tolist() == [float(step.margin[0]) for step in steps]
    assert line.values("stop").tolist() == [float(step.measures[0].stop_probability[0]) for step in steps]
    assert [line.place(row) for row in range(len(line))] == [step.place for step in steps]
    second = next(row for row, step in enumerate(steps) if step.place.segment == 1)
    assert line.segment_starts == [0, second]
    assert steps[second - 1].ended == "stop" and line.seconds(second) == line.seconds(second - 1)
    assert line.seconds(second + 3) == pytest.approx((second - 1 + 3) / 75)
    assert [line.row_at(line.seconds(row)) for row in range(second - 1)] == list(range(second - 1))
    assert line.row_at(-1) == 0 and line.row_at(1e9) == len(line) - 1


def test_peaks_by_hand() -> None:
    values = np.array([0, 0, 9, 0, 0, 0, 0, 5, 5, 0, 0, 0, 1.0, 0, 0, 0, 8])
    assert peaks(values).tolist() == [2, 7, 16]
    assert peaks(np.ones(50)).tolist() == [] and peaks(np.arange(3.0)).tolist() == []
