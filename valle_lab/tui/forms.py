"""The forms of a curve and of a condition: their lines, what they come to, and a drawing of it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, get_args

import numpy as np

from valle.errors import UserError
from valle.samplers.declaration import Parameter
from valle.samplers.values import (
    MEASURES,
    Condition,
    Curve,
    CurveKind,
    Of,
    Over,
    check_condition,
    check_value,
)
from valle_lab.tui.braille import curve as drawn
from valle_lab.tui.rows import condition_words, curve_words
from valle_lab.tui.screens.form import Entry, Filled

WIDTH, HEIGHT = 48, 4
USUAL_STEPS = 150.0
USUAL_BITS = 10.0


def curve_entries(value: Any) -> Sequence[Entry]:
    """The lines of a curve, filled in with the one that there is, or with a number that stays."""
    now = value if isinstance(value, Curve) else Curve("linear", (value, value), begin=0, end=USUAL_STEPS)
    sided = {"linear", "cosine"}
    return (
        Entry("curve", now.curve, get_args(CurveKind)),
        Entry("values", _joined(now.values)),
        Entry("over", now.over, get_args(Over), lambda filled: filled["curve"] not in ("constant", "list")),
        Entry("of", now.of, get_args(Of), lambda filled: filled["over"] != "step"),
        Entry("begin", f"{now.begin:g}", wanted=lambda filled: filled["curve"] in sided),
        Entry("end", f"{now.end:g}", wanted=lambda filled: filled["curve"] in sided),
        Entry("at", _joined(now.at), wanted=lambda filled: filled["curve"] == "steps"),
    )


def curve_from(filled: Filled, where: str, parameter: Parameter) -> dict[str, Any]:
    """The curve that is filled in, in the types of JSON. Raises ValueError with the reason."""
    kind = filled["curve"]
    made: dict[str, Any] = {"curve": kind, "values": _numbers("values", filled["values"])}
    if kind not in ("constant", "list") and filled["over"] != "step":
        made |= {"over": filled["over"], "of": filled["of"]}
    if kind in ("linear", "cosine"):
        made |= {side: _number(side, filled[side]) for side in ("begin", "end")}
    if kind == "steps":
        made["at"] = _numbers("at", filled["at"])
    try:
        check_value(where, parameter, made)
    except UserError as error:
        raise ValueError(str(error)) from None
    return made


def curve_preview(filled: Filled, where: str, parameter: Parameter) -> str:
    """The curve in words and drawn, over the steps or bits that it is about."""
    made = check_value(where, parameter, curve_from(filled, where, parameter))
    assert isinstance(made, Curve)
    usual = USUAL_STEPS if made.over == "step" else USUAL_BITS
    end = (
        max((made.end, *made.at, usual / 1.25, float(len(made.values)) if made.curve == "list" else 0.0))
        * 1.25
    )
    values = np.array([value_at(made, x) for x in np.linspace(0, end, 2 * WIDTH)])
    low, high = float(values.min()), float(values.max())
    pad = (high - low or 1.0) * 0.1
    unit = "steps" if made.over == "step" else "bits"
    lines = drawn(values, WIDTH, HEIGHT, low - pad, high + pad)
    return "\n".join((curve_words(made), *lines, f"0 {'─' * (WIDTH - 12)} {end:.4g} {unit}"))


def value_at(curve: Curve, x: float) -> float:
    """The value of a curve where its measure is x, as `Curve` describes it."""
    match curve.curve:
        case "constant":
            return curve.values[0]
        case "linear" | "cosine":
            share = min(max((x - curve.begin) / (curve.end - curve.begin), 0.0), 1.0)
            if curve.curve == "cosine":
                share = (1 - math.cos(math.pi * share)) / 2
            return curve.values[0] + share * (curve.values[1] - curve.values[0])
        case "steps":
            passed = sum(x >= at for at in curve.at)
            return curve.values[max(0, passed - 1)]
    return curve.values[min(int(x), len(curve.values) - 1)]


def condition_entries(value: Condition | None) -> Sequence[Entry]:
    """The lines of a condition, filled in with the one that there is."""
    now = value or Condition("entropy", above=3.0)
    return (
        Entry("measure", now.measure, MEASURES),
        Entry("above", "" if now.above is None else f"{now.above:g}"),
        Entry("below", "" if now.below is None else f"{now.below:g}"),
        Entry("of", now.of, get_args(Of)),
    )


def condition_from(filled: Filled, where: str) -> dict[str, Any] | None:
    """The condition that is filled in; None where neither limit is. Raises ValueError with the reason."""
    limits = {side: _number(side, filled[side]) for side in ("above", "below") if filled[side]}
    if not limits:
        return None
    made = {"measure": filled["measure"], **limits, "of": filled["of"]}
    try:
        check_condition(where, made)
    except UserError as error:
        raise ValueError(str(error)) from None
    return made


def condition_preview(filled: Filled, where: str) -> str:
    """The condition in words."""
    made = condition_from(filled, where)
    return "always (no limit is given)" if made is None else condition_words(check_condition(where, made))


def _numbers(name: str, text: str) -> list[float]:
    return [_number(name, word) for word in text.replace(",", " ").split()]


def _number(name: str, text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise ValueError(f"{name}: {text or 'nothing'} is not a number") from None


def _joined(values: Sequence[float]) -> str:
    return ", ".join(f"{value:g}" for value in values)
