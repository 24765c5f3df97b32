"""The regions of entropy and varentropy by which entropix chooses: a function of measures, without torch.

The names in the words of entropix: sure is low entropy and low varentropy, even high and low, forked low and
high, lost high and high; between is all that lies between those.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from valle.step import StageMeasures

REGIONS = ("sure", "even", "forked", "lost", "between")
SURE, EVEN, FORKED, LOST, BETWEEN = range(5)


def regions(entropy: Any, varentropy: Any, parameters: Mapping[str, Any]) -> NDArray[np.int8]:
    """The number in REGIONS of each row, from its entropy in bits and varentropy in bits squared.

    ``parameters`` are those of the stage ``entropix``, numbers or arrays like the measures. No two regions
    share a point, whatever the thresholds.
    """
    entropy, varentropy = np.asarray(entropy), np.asarray(varentropy)
    even_spread = varentropy < parameters["low_varentropy"]
    uneven_spread = ~even_spread & (varentropy > parameters["high_varentropy"])
    return np.select(
        (
            even_spread & (entropy < parameters["low_entropy"]),
            even_spread & (entropy > parameters["high_entropy"]),
            uneven_spread & (entropy <= parameters["medium_entropy"]),
            uneven_spread,
        ),
        (np.int8(SURE), np.int8(EVEN), np.int8(FORKED), np.int8(LOST)),
        np.int8(BETWEEN),
    )


def region_of(measures: Sequence[StageMeasures], parameters: Mapping[str, Any]) -> tuple[str, ...]:
    """The region of each position of a step, from the step's measures and the effective parameters."""
    point = measures[0] if parameters["of"] == "raw" else measures[-1]
    return tuple(REGIONS[number] for number in regions(point.entropy, point.varentropy, parameters))
