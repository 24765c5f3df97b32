"""Thresholds that fit a model: quantiles of what its recorded decisions measured, kept per model. No torch.

Thresholds of entropy that were found for words mean little for codes of audio. Those of ``entropix`` are
taken from here where a stack names none; the others are for a person to set.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from valle import folders
from valle.errors import UserError
from valle.files import write_atomically
from valle.samplers.declaration import Parameter
from valle.samplers.regions import REGIONS, regions
from valle.samplers.stack import Stack
from valle.samplers.stage import Stage
from valle.samplers.stages import find
from valle.samplers.values import check_value

Floats = NDArray[np.floating[Any]]

LEAST_DECISIONS = 200
"""Fewer decisions tell too little: this is less than three seconds of speech."""
TAKEN = ("entropix",)
"""Stages that take what is kept by themselves, where a stack leaves it open."""
SHARES = (0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95)
THRESHOLDS = (
    ("entropix", "low_entropy", "entropy", 0.25),
    ("entropix", "medium_entropy", "entropy", 0.5),
    ("entropix", "high_entropy", "entropy", 0.75),
    ("entropix", "low_varentropy", "varentropy", 0.25),
    ("entropix", "high_varentropy", "varentropy", 0.75),
    ("mirostat", "target", "surprise", 0.5),
    ("adaptive_p", "target", "probability", 0.5),
    ("xtc", "threshold", "second", 0.5),
)
"""Stage, parameter, measure, and which share of the decisions lies below."""


@dataclass(frozen=True, slots=True)
class Decisions:
    """What was measured at decisions of level 0 by AR, on the raw logits, all [decisions].

    Entropy and surprise in bits, varentropy in bits squared; ``probability`` and ``surprise`` are those of
    the id that was taken, ``second`` is the probability of the second best id.
    """

    entropy: Floats
    varentropy: Floats
    probability: Floats
    second: Floats

    @property
    def surprise(self) -> Floats:
        """Minus the base 2 logarithm of the probability."""
        return -np.log2(np.clip(self.probability, np.finfo(np.float32).tiny, 1.0))

    def __len__(self) -> int:
        return len(self.entropy)


@dataclass(frozen=True, slots=True)
class Calibration:
    """Thresholds of a model: ``stages`` maps stage to parameter to value; ``quantiles`` measure to SHARES;
    ``shares`` says how many of the decisions lie in each region of entropix."""

    model: str
    decisions: int
    stages: Mapping[str, Mapping[str, float]]
    quantiles: Mapping[str, tuple[float, ...]]
    shares: Mapping[str, float]

    def fill(self, stack: Stack) -> Stack:
        """The stack with these thresholds in its ``ar`` list where it leaves them open."""
        stages = stack.lists.get("ar", ())
        filled = tuple(self._filled(stage) for stage in stages)
        return stack if filled == stages else Stack({**stack.lists, "ar": filled})

    def _filled(self, stage: Stage) -> Stage:
        known = self.stages.get(stage.name, {}) if stage.name in TAKEN else {}
        return replace(stage, parameters={**known, **stage.parameters}) if known else stage

    def to_dict(self) -> dict[str, Any]:
        """The calibration in the types of JSON."""
        return {
            "model": self.model,
            "decisions": self.decisions,
            "stages": {name: dict(values) for name, values in self.stages.items()},
            "quantiles": {name: list(values) for name, values in self.quantiles.items()},
            "shares": dict(self.shares),
        }


def calibrate(model: str, found: Decisions) -> Calibration:
    """The thresholds of the model of this hash.

    Raises UserError for fewer decisions than LEAST_DECISIONS.
    """
    if len(found) < LEAST_DECISIONS:
        raise UserError(
            f"there are {len(found)} decisions of the model {model[:12]}; {LEAST_DECISIONS} are the least"
        )
    stages: dict[str, dict[str, float]] = {}
    for stage, name, measure, share in THRESHOLDS:
        value = float(np.quantile(getattr(found, measure), share))
        stages.setdefault(stage, {})[name] = _allowed(find(stage).parameter(name), value)
    names = tuple(dict.fromkeys(measure for _, _, measure, _ in THRESHOLDS))
    numbers = regions(found.entropy, found.varentropy, stages["entropix"])
    return Calibration(
        model=model,
        decisions=len(found),
        stages=stages,
        quantiles={name: _rounded(np.quantile(getattr(found, name), SHARES)) for name in names},
        shares={region: round(float((numbers == at).mean()), 3) for at, region in enumerate(REGIONS)},
    )


def calibration_file(model: str) -> Path:
    """Where the thresholds of the model of this hash are kept, whether they are there or not."""
    return folders.data() / "calibrations" / f"{model}.json"


def keep(calibration: Calibration) -> Path:
    """Write it into the user's data folder, over what was there; returns the file."""
    text = json.dumps(calibration.to_dict(), indent=1) + "\n"
    return write_atomically(calibration_file(calibration.model), text.encode())


def kept(model: str) -> Calibration | None:
    """What is kept for the model of this hash, or None. Raises UserError, naming a file that is damaged."""
    file = calibration_file(model)
    if not file.is_file():
        return None
    try:
        document = json.loads(file.read_text(encoding="utf-8"))
        stages = {
            str(stage): {str(name): _checked(stage, name, value) for name, value in values.items()}
            for stage, values in document["stages"].items()
        }
        return Calibration(
            model=model,
            decisions=int(document["decisions"]),
            stages=stages,
            quantiles={name: tuple(values) for name, values in document["quantiles"].items()},
            shares=dict(document["shares"]),
        )
    except (OSError, ValueError, TypeError, KeyError, AttributeError, UserError) as error:
        raise UserError(f"{file} is damaged ({error}); make it again, or delete it") from error


def filled(stack: Stack, model: str) -> Stack:
    """The stack with what is kept for the model of this hash, where it has a stage that takes it."""
    if not any(stage.name in TAKEN for stage in stack.lists.get("ar", ())):
        return stack
    calibration = kept(model)
    return stack if calibration is None else calibration.fill(stack)


def _checked(stage: str, name: str, value: Any) -> float:
    parameter = find(stage).parameter(name)
    if parameter is None:
        raise UserError(f"{stage} has no parameter {name}")
    number = check_value(f"{stage}.{name}", parameter, value)
    assert isinstance(number, (int, float))
    return float(number)


def _allowed(parameter: Parameter | None, value: float) -> float:
    """The value within the parameter's range, to three decimals."""
    assert parameter is not None and parameter.minimum is not None and parameter.maximum is not None
    return round(min(max(value, parameter.minimum), parameter.maximum), 3)


def _rounded(values: Floats) -> tuple[float, ...]:
    return tuple(round(float(value), 3) for value in values)
