"""Thresholds for leaving a model early that fit it: found on recorded takes, kept per model; no torch."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from valle import folders
from valle.early_exit import EarlyExit
from valle.errors import UserError
from valle.files import write_atomically

LEAST_DECISIONS = 200
"""Fewer decisions tell too little: this is less than three seconds of speech."""
FEWEST_EXITS = 20
QUANTILES = np.linspace(0.01, 1.0, 100)


@dataclass(frozen=True, slots=True)
class LayerThresholds:
    """When to leave after a layer: below both, so many of the decisions leave, and agree with all layers."""

    layer: int
    entropy: float
    varentropy: float
    leaving: float
    """Share of the decisions; 0 where no threshold is good enough, and the thresholds are 0 then."""
    agreement: float
    """Of those that leave, the share whose best id is that of all layers."""
    agreement_of_all: float
    """The same of all decisions, were all to leave."""


def fit(
    entropy: NDArray[np.float32],
    varentropy: NDArray[np.float32],
    agrees: NDArray[np.bool_],
    agreement: float,
) -> list[LayerThresholds]:
    """The highest thresholds of each layer, both at one quantile, at which those that leave agree so often.

    The arrays are [layers - 1, decisions]. Raises UserError for too few decisions.
    """
    if entropy.shape[1] < LEAST_DECISIONS:
        raise UserError(f"there are {entropy.shape[1]} decisions; {LEAST_DECISIONS} are the least")
    return [
        _fit(layer, entropy[layer - 1], varentropy[layer - 1], agrees[layer - 1], agreement)
        for layer in range(1, len(entropy) + 1)
    ]


def _fit(
    layer: int,
    entropy: NDArray[np.float32],
    varentropy: NDArray[np.float32],
    agrees: NDArray[np.bool_],
    agreement: float,
) -> LayerThresholds:
    best = LayerThresholds(layer, 0.0, 0.0, 0.0, 0.0, round(float(agrees.mean()), 3))
    for share in QUANTILES:
        high, wide = float(np.quantile(entropy, share)), float(np.quantile(varentropy, share))
        leaving = (entropy < high) & (varentropy < wide)
        if leaving.sum() >= FEWEST_EXITS and agrees[leaving].mean() >= agreement:
            best = LayerThresholds(
                layer,
                entropy=round(high, 3),
                varentropy=round(wide, 3),
                leaving=round(float(leaving.mean()), 3),
                agreement=round(float(agrees[leaving].mean()), 3),
                agreement_of_all=best.agreement_of_all,
            )
    return best


def thresholds_file(model: str) -> Path:
    """Where the thresholds of the model of this hash are kept, whether they are there or not."""
    return folders.data() / "calibrations" / f"{model}-layers.json"


def keep(model: str, thresholds: Sequence[LayerThresholds]) -> Path:
    """Write them into the user's data folder, over what was there; returns the file."""
    text = json.dumps([asdict(each) for each in thresholds], indent=1) + "\n"
    return write_atomically(thresholds_file(model), text.encode())


def fitted(exits: EarlyExit, model: str) -> EarlyExit:
    """Early exit with the thresholds that are kept for a model and layer, if there are any.

    Raises UserError, naming the file, for one that is damaged.
    """
    file = thresholds_file(model)
    if not file.is_file():
        return exits
    try:
        found = [LayerThresholds(**each) for each in json.loads(file.read_text(encoding="utf-8"))]
        own = next((each for each in found if each.layer == exits.layer), None)
        return exits if own is None else replace(exits, entropy=own.entropy, varentropy=own.varentropy)
    except (OSError, ValueError, TypeError, UserError) as error:
        raise UserError(f"{file} is damaged ({error}); make it again, or delete it") from error
