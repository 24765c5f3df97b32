"""Values of parameters as data: numbers, choices, lists, curves and conditions, validated, without torch."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Literal, cast, get_args

from valle.samplers.declaration import Parameter
from valle.samplers.errors import StackError, nearest

CurveKind = Literal["constant", "linear", "cosine", "steps", "list"]
Over = Literal["step", "entropy", "varentropy"]
Of = Literal["raw", "here"]
MEASURES = ("entropy", "varentropy")
"""Measures of a row, in bits, that a curve or a condition may follow."""


@dataclass(frozen=True, slots=True)
class Curve:
    """A numeric parameter that changes over steps or with a measure of the row.

    With x the step or the measure: ``constant`` is ``values[0]``; ``linear`` and ``cosine`` go from
    ``values[0]`` at x <= ``begin`` to ``values[1]`` at x >= ``end``; ``steps`` is ``values[i]`` from x >=
    ``at[i]`` on, and ``values[0]`` before; ``list`` is ``values[step]``, the last one held. ``of`` says
    whether a measure is of the raw logits or of what enters the stage.
    """

    curve: CurveKind
    values: tuple[float, ...]
    over: Over = "step"
    of: Of = "raw"
    begin: float = 0.0
    end: float = 0.0
    at: tuple[float, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """The curve in the types of JSON and TOML."""
        result: dict[str, Any] = {"curve": self.curve, "values": list(self.values)}
        if self.curve in ("linear", "cosine"):
            result |= {"begin": self.begin, "end": self.end}
        if self.curve == "steps":
            result["at"] = list(self.at)
        if self.over != "step":
            result |= {"over": self.over, "of": self.of}
        return result


@dataclass(frozen=True, slots=True)
class Condition:
    """A stage's ``when``: it touches only the rows whose measure is above and below these bits."""

    measure: Literal["entropy", "varentropy"]
    above: float | None = None
    below: float | None = None
    of: Of = "raw"

    def to_dict(self) -> dict[str, Any]:
        """The condition in the types of JSON and TOML."""
        result: dict[str, Any] = {"measure": self.measure}
        if self.above is not None:
            result["above"] = self.above
        if self.below is not None:
            result["below"] = self.below
        if self.of != "raw":
            result["of"] = self.of
        return result


Value = bool | int | float | str | tuple[int, ...] | Mapping[int, float] | Curve


def check_value(where: str, parameter: Parameter, value: Any) -> Value:
    """The value as the stage uses it.

    ``where`` names the parameter in messages, as in ``ar:top_k.k``. Raises StackError on a wrong type, a
    value out of range, NaN or an infinity.
    """
    if isinstance(value, Curve):
        value = value.to_dict()
    if isinstance(value, Mapping) and "curve" in value:
        if not parameter.curved:
            reason = "is fixed" if parameter.type in ("number", "integer") else "is not a number"
            raise StackError(f"{where} {reason} and takes no curve")
        return _curve(where, parameter, value)
    match parameter.type:
        case "number":
            return _number(where, parameter, value)
        case "integer":
            return _integer(where, parameter, value)
        case "boolean":
            if not isinstance(value, bool):
                raise StackError(f"{where} must be true or false, not {_shown(value)}")
            return value
        case "choice":
            if not isinstance(value, str) or value not in parameter.choices:
                raise StackError(
                    f"{where} must be one of {', '.join(parameter.choices)}, not {_shown(value)}"
                )
            return value
        case "ids":
            if not isinstance(value, Sequence) or isinstance(value, str):
                raise StackError(f"{where} must be a list of ids, not {_shown(value)}")
            return tuple(_integer(where, parameter, item) for item in value)
        case "biases":
            return _biases(where, parameter, value)


def check_condition(where: str, value: Any) -> Condition:
    """The condition of a stage. Raises StackError where it is not one."""
    if isinstance(value, Condition):
        value = value.to_dict()
    if not isinstance(value, Mapping):
        raise StackError(f"{where}.when must look like {{measure: entropy, above: 3.0}}, not {_shown(value)}")
    _known_keys(f"{where}.when", value, ("measure", "above", "below", "of"))
    measure = _one_of(f"{where}.when.measure", value.get("measure"), MEASURES)
    of = _one_of(f"{where}.when.of", value.get("of", "raw"), get_args(Of))
    limits = {
        side: finite(f"{where}.when.{side}", value[side]) for side in ("above", "below") if side in value
    }
    if not limits:
        raise StackError(f"{where}.when needs above or below, in bits")
    return Condition(cast(Any, measure), limits.get("above"), limits.get("below"), cast(Of, of))


def parse_value(where: str, parameter: Parameter, text: str) -> Value:
    """A value written on a command line: a number, true or false, a choice, ``1,2,3``, or a curve as JSON."""
    stripped = text.strip()
    if parameter.type == "choice" and not stripped.startswith("{"):
        return check_value(where, parameter, stripped)
    if parameter.type == "ids" and not stripped.startswith("["):
        stripped = f"[{stripped}]"
    if parameter.type == "boolean":
        stripped = {"on": "true", "off": "false"}.get(stripped.lower(), stripped.lower())
    return check_value(where, parameter, parse_json(stripped))


def parse_json(text: str) -> Any:
    """The text as JSON, or as it is where it is not JSON."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text


def finite(where: str, value: Any) -> float:
    """The value as a finite number; StackError otherwise."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise StackError(f"{where} must be a number, not {_shown(value)}")
    if not abs(value) < 1e300 or math.isnan(value):
        raise StackError(f"{where} must be a finite number, not {_shown(value)}")
    return float(value)


def _number(where: str, parameter: Parameter, value: Any) -> float:
    number = finite(where, value)
    _in_range(where, parameter, number)
    return number


def _integer(where: str, parameter: Parameter, value: Any) -> int:
    number = finite(where, value)
    if number != int(number):
        raise StackError(f"{where} must be a whole number, not {_shown(value)}")
    _in_range(where, parameter, number)
    return int(number)


def _in_range(where: str, parameter: Parameter, number: float) -> None:
    low, high = parameter.minimum, parameter.maximum
    if (low is not None and number < low) or (high is not None and number > high):
        raise StackError(f"{where} must be between {low} and {high}, not {number:g}")


def _biases(where: str, parameter: Parameter, value: Any) -> dict[int, float]:
    if not isinstance(value, Mapping):
        raise StackError(f'{where} must map ids to numbers, as in {{"12": -1.5}}, not {_shown(value)}')
    result = {}
    for key, item in value.items():
        if not str(key).isdecimal():
            raise StackError(f"{where} has {_shown(key)} where an id should be")
        result[int(key)] = _number(f"{where}.{key}", parameter, item)
    return result


def _curve(where: str, parameter: Parameter, value: Mapping[Any, Any]) -> Curve:
    kind = cast(CurveKind, _one_of(f"{where}.curve", value["curve"], get_args(CurveKind)))
    keys = {
        "constant": (),
        "linear": ("begin", "end"),
        "cosine": ("begin", "end"),
        "steps": ("at",),
        "list": (),
    }
    _known_keys(where, value, ("curve", "over", "of", "values", *keys[kind]))
    over = cast(Over, _one_of(f"{where}.over", value.get("over", "step"), get_args(Over)))
    of = cast(Of, _one_of(f"{where}.of", value.get("of", "raw"), get_args(Of)))
    if kind == "list" and over != "step":
        raise StackError(f"{where}: a list is over step; use steps with at for {over}")
    check = _integer if parameter.type == "integer" else _number
    values = tuple(check(f"{where}.values", parameter, item) for item in _items(where, "values", value))
    at = tuple(finite(f"{where}.at", item) for item in _items(where, "at", value)) if kind == "steps" else ()
    counts = {"constant": 1, "linear": 2, "cosine": 2, "steps": len(at)}
    if kind in counts and len(values) != counts[kind]:
        raise StackError(f"{where}: a {kind} curve needs {counts[kind]} values, not {len(values)}")
    if any(later <= earlier for earlier, later in pairwise(at)):
        raise StackError(f"{where}.at must rise from entry to entry")
    begin, end = (finite(f"{where}.{side}", value.get(side, 0)) for side in ("begin", "end"))
    if kind in ("linear", "cosine") and end <= begin:
        raise StackError(f"{where}.end must be above {where}.begin")
    return Curve(kind, values, over, of, begin, end, at)


def _items(where: str, key: str, value: Mapping[Any, Any]) -> Sequence[Any]:
    items = value.get(key)
    if not isinstance(items, Sequence) or isinstance(items, str) or not items:
        raise StackError(f"{where}.{key} must be a list of at least one number")
    if len(items) > 100_000:
        raise StackError(f"{where}.{key} has {len(items)} entries; 100000 at most")
    return items


def _one_of(where: str, value: Any, choices: Sequence[str]) -> str:
    if not isinstance(value, str) or value not in choices:
        raise StackError(f"{where} must be one of {', '.join(choices)}, not {_shown(value)}")
    return value


def _known_keys(where: str, value: Mapping[Any, Any], known: Sequence[str]) -> None:
    for key in value:
        if key not in known:
            raise StackError(f'{where} has no "{key}"; {nearest(str(key), known)}')


def _shown(value: Any) -> str:
    text = json.dumps(value) if isinstance(value, (str, bool, int, float)) or value is None else repr(value)
    return text if len(text) <= 60 else text[:57] + "..."
