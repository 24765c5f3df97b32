"""The scale of a slider: where a value stands between the ends, and how far one key moves it. No Textual."""

from __future__ import annotations

import math
from dataclasses import dataclass

from valle.samplers.declaration import Parameter

WIDE = 50.0
"""A positive range whose end is so many times its beginning is drawn on a logarithmic scale."""
LONG = 1000.0
FAR = 20.0
"""A default so far below the end asks for a logarithmic scale too."""
FINE, COARSE = 0.1, 10.0
SMALLEST_SHARE = 1e-3
"""Of a logarithmic scale that begins at 0: the first value above it, where no step says so."""


@dataclass(frozen=True, slots=True)
class Scale:
    """A range of numbers; `step` is what one key moves."""

    low: float
    high: float
    step: float
    whole: bool
    logarithmic: bool

    @classmethod
    def of(cls, parameter: Parameter) -> Scale:
        """The scale of a declared parameter."""
        low = 0.0 if parameter.minimum is None else float(parameter.minimum)
        high = max(low + 1.0, 1.0) if parameter.maximum is None else float(parameter.maximum)
        whole = parameter.type == "integer"
        step = float(parameter.step or (1.0 if whole else (high - low) / 100))
        usual = parameter.default if low >= 0 else 0
        wide = (low > 0 and high / low >= WIDE) or (low >= 0 and high - low >= LONG)
        wide = wide or (usual > 0 and high / usual >= FAR)
        return cls(low, high, step, whole, parameter.logarithmic or wide)

    def share(self, value: float) -> float:
        """Where the value stands, 0 to 1."""
        value = min(max(value, self.low), self.high)
        if not self.logarithmic:
            return (value - self.low) / (self.high - self.low)
        least = self._least
        if value < least:
            return 0.0
        return math.log(value / least) / math.log(self.high / least)

    def value(self, share: float) -> float:
        """The value that stands there, on a multiple of the step."""
        share = min(max(share, 0.0), 1.0)
        if not self.logarithmic:
            return self.rounded(self.low + share * (self.high - self.low))
        if share == 0.0:
            return self.low
        least = self._least
        return self.rounded(least * (self.high / least) ** share)

    def moved(self, value: float, steps: float) -> float:
        """The value so many steps on; parts of a step are fine moves."""
        by = steps * self.step
        if self.whole:
            by = math.copysign(max(1.0, abs(by)), by)
        grid = self.step * (FINE if abs(steps) < 1 and not self.whole else 1.0)
        moved = value + by
        if abs(steps) >= 1:
            moved = self._on_grid(moved, grid, up=by < 0)
        return min(max(round(moved, 10), self.low), self.high)

    def rounded(self, value: float) -> float:
        """The nearest multiple of the step within the range."""
        return min(max(round(round(value / self.step) * self.step, 10), self.low), self.high)

    @property
    def _least(self) -> float:
        """The least value that a logarithmic scale can place."""
        if self.low > 0:
            return self.low
        return self.step if self.step < self.high else self.high * SMALLEST_SHARE

    @staticmethod
    def _on_grid(value: float, grid: float, *, up: bool) -> float:
        """The multiple of the grid that a move towards the value comes to."""
        shares = value / grid
        near = round(shares)
        if abs(shares - near) > 1e-6:
            near = math.ceil(shares) if up else math.floor(shares)
        return near * grid


def shown(value: float) -> str:
    """A number as short as it can be said."""
    return f"{value:.6g}"
