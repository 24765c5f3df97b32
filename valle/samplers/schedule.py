"""Curves and conditions at work: data to numbers and masks."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from valle.samplers.declaration import StageDeclaration
from valle.samplers.measures import entropies
from valle.samplers.rows import Rows
from valle.samplers.values import Condition, Curve

Floats = NDArray[np.float64]


class RowMeasures:
    """Entropy and varentropy of the raw logits and of what enters a stage, computed when first asked for."""

    def __init__(self, raw: Tensor, here: Tensor, of_raw: dict[str, Tensor]) -> None:
        self._raw, self._here = raw, here
        self._of_raw = of_raw
        self._of_here: dict[str, Tensor] = {}

    @property
    def device(self) -> torch.device:
        """Where the logits are."""
        return self._here.device

    def get(self, name: str, of: str) -> Tensor:
        """The measure [R, 1], in bits."""
        table, logits = (self._of_raw, self._raw) if of == "raw" else (self._of_here, self._here)
        if not table:
            table.update(entropies(logits))
        return table[name]


def follow(curve: Curve, rows: Rows, measures: RowMeasures) -> float | Tensor:
    """The curve's value for each row [R, 1], or one number where all rows are at the same step."""
    if curve.curve == "constant":
        return curve.values[0]
    if curve.over == "step":
        steps = rows.step
        first = int(steps[0]) if len(steps) else 0
        if (steps == first).all():
            return float(_curve(curve, np.array([first], dtype=np.float64))[0])
        values = _curve(curve, steps.astype(np.float64))
    else:
        measured = measures.get(curve.over, curve.of)
        values = _curve(curve, measured[:, 0].double().cpu().numpy())
    return torch.from_numpy(values.astype(np.float32)).to(measures.device)[:, None]


def _curve(curve: Curve, x: Floats) -> Floats:
    values: Floats = np.asarray(curve.values, dtype=np.float64)
    if curve.curve == "list":
        return np.asarray(values[np.clip(x.astype(np.int64), 0, len(values) - 1)])
    if curve.curve == "steps":
        return np.asarray(
            values[np.clip(np.searchsorted(np.asarray(curve.at), x, side="right") - 1, 0, None)]
        )
    way: Floats = np.clip((x - curve.begin) / (curve.end - curve.begin), 0.0, 1.0)
    if curve.curve == "cosine":
        way = 0.5 - 0.5 * np.cos(math.pi * way)
    return np.asarray(values[0] + (values[1] - values[0]) * way)


def at_rows(
    declaration: StageDeclaration, parameters: dict[str, Any], rows: Rows, measures: RowMeasures
) -> dict[str, Any]:
    """The parameters with every curve followed, whole numbers rounded, and bounds between parameters kept."""
    values = {
        name: follow(value, rows, measures) if isinstance(value, Curve) else value
        for name, value in parameters.items()
    }
    for parameter in declaration.parameters:
        value = values[parameter.name]
        if parameter.type == "integer" and isinstance(parameters[parameter.name], Curve):
            value = value.round() if isinstance(value, Tensor) else round(value)
        if parameter.bounded_by:
            bound = values[parameter.bounded_by]
            if isinstance(value, Tensor) or isinstance(bound, Tensor):
                value = torch.minimum(torch.as_tensor(value), torch.as_tensor(bound))
            else:
                value = min(value, bound)
        values[parameter.name] = value
    return values


def meets(condition: Condition, measures: RowMeasures) -> Tensor:
    """Which rows a stage with this condition touches, [R, 1]."""
    value = measures.get(condition.measure, condition.of)
    met = torch.ones_like(value, dtype=torch.bool)
    if condition.above is not None:
        met &= value > condition.above
    if condition.below is not None:
        met &= value < condition.below
    return met
