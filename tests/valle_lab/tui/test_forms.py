"""Curves and conditions as forms: what is filled in comes out, and is drawn as the stack will read it."""

from __future__ import annotations

import pytest

from valle.samplers.stages import STAGES
from valle.samplers.values import Condition, Curve, check_value
from valle_lab.tui.forms import (
    condition_entries,
    condition_from,
    condition_preview,
    curve_entries,
    curve_from,
    curve_preview,
    value_at,
)

TEMPERATURE = STAGES["temperature"].parameters[0]
CURVES = [
    Curve("constant", (0.5,)),
    Curve("linear", (1.2, 0.6), begin=10, end=60),
    Curve("cosine", (1.0, 0.5), over="entropy", of="here", begin=1, end=5),
    Curve("steps", (1.0, 0.8, 0.6), at=(0, 30, 90)),
    Curve("list", (1.0, 0.9, 0.8)),
]


@pytest.mark.parametrize("curve", CURVES, ids=lambda curve: curve.curve)
def test_a_curve_that_is_left_as_it_is_stays(curve: Curve) -> None:
    filled = {entry.name: entry.value for entry in curve_entries(curve)}
    assert check_value("x", TEMPERATURE, curve_from(filled, "x", TEMPERATURE)) == curve
    words, *drawn, axis = curve_preview(filled, "x", TEMPERATURE).splitlines()
    assert words.startswith(curve.curve) and len(drawn) == 4
    assert axis.endswith("steps" if curve.over == "step" else "bits")


def test_values_along_a_curve() -> None:
    _, linear, cosine, steps, listed = CURVES
    assert [value_at(linear, x) for x in (0, 10, 35, 60, 99)] == pytest.approx([1.2, 1.2, 0.9, 0.6, 0.6])
    assert [value_at(cosine, x) for x in (0, 3, 9)] == pytest.approx([1.0, 0.75, 0.5])
    assert [value_at(steps, x) for x in (0, 29, 30, 90)] == [1.0, 1.0, 0.8, 0.6]
    assert [value_at(listed, x) for x in (0, 2, 7)] == [1.0, 0.8, 0.8]


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"values": "1.2"}, "needs 2 values"),
        ({"values": "hot, cold"}, "hot is not a number"),
        ({"values": "1, 99"}, "between 0.0 and 5.0"),
        ({"begin": "60", "end": "10"}, "must be above"),
        ({"end": ""}, "nothing is not a number"),
    ],
)
def test_a_wrong_curve_says_why(change: dict[str, str], reason: str) -> None:
    filled = {entry.name: entry.value for entry in curve_entries(CURVES[1])} | change
    with pytest.raises(ValueError, match=reason):
        curve_from(filled, "x", TEMPERATURE)


def test_a_condition() -> None:
    filled = {entry.name: entry.value for entry in condition_entries(Condition("varentropy", below=2.0))}
    assert condition_from(filled, "x") == {"measure": "varentropy", "below": 2.0, "of": "raw"}
    assert condition_preview(filled, "x") == "when varentropy (raw) below 2 bits"
    assert condition_from(filled | {"below": ""}, "x") is None
    with pytest.raises(ValueError, match="high is not a number"):
        condition_from(filled | {"above": "high"}, "x")
