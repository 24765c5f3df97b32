"""How far two runs of one model may differ in their numbers, and whether evidence differs more."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from valle.step import Evidence

FULL_PRECISION = 1e-3
"""Of float32, absolute, in nats."""
HALF_PRECISION = 5e-2
"""Of float16 and bfloat16: of values up to 4, in nats; beyond that it grows with the value."""


@dataclass(frozen=True, slots=True)
class Tolerance:
    """How far the numbers of the same model may lie apart."""

    half: bool
    """Whether either run was in float16 or bfloat16."""

    @classmethod
    def of(cls, *dtypes: str) -> Tolerance:
        """The tolerance between runs of these dtypes."""
        return cls(any(dtype != "float32" for dtype in dtypes))

    @property
    def absolute(self) -> float:
        """In nats, whatever the value."""
        return HALF_PRECISION if self.half else FULL_PRECISION

    @property
    def relative(self) -> float:
        """As a share of the value, where that is more."""
        return HALF_PRECISION / 4 if self.half else 0.0

    def at(self, values: NDArray[Any]) -> NDArray[np.float64]:
        """Absolute, in nats, for each of the values."""
        return np.maximum(self.absolute, self.relative * np.abs(values.astype(np.float64)))


@dataclass(frozen=True, slots=True)
class Agreement:
    """Of each position, how far the numbers lie apart at most, in nats, and whether that is too much."""

    difference: NDArray[np.float64]
    beyond: NDArray[np.bool_]


def agreement(
    recorded: Evidence | None, replayed: Evidence | None, same: NDArray[np.bool_], tolerance: Tolerance
) -> Agreement:
    """Compare the evidence of one decision.

    `same` [positions] says where both chose the same id, so that its logit can be compared. Evidence on one
    side only is too much of a difference.
    """
    if recorded is None and replayed is None:
        return Agreement(np.zeros(len(same)), np.zeros(len(same), np.bool_))
    if recorded is None or replayed is None:
        return Agreement(np.zeros(len(same)), np.ones(len(same), np.bool_))
    difference, beyond = _apart(recorded.logsumexp, replayed.logsumexp, tolerance)
    chosen, beyond_chosen = _apart(recorded.chosen, replayed.chosen, tolerance)
    difference = np.where(same, np.maximum(difference, chosen), difference)
    beyond = beyond | (same & beyond_chosen)
    if recorded.top_ids is not None and replayed.top_ids is not None:
        for position in range(len(same)):
            highest, too_much = _best_apart(recorded, replayed, position, tolerance)
            difference[position] = max(difference[position], highest)
            beyond[position] |= too_much
    return Agreement(difference, beyond)


def _apart(
    recorded: NDArray[Any], replayed: NDArray[Any], tolerance: Tolerance
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    difference = np.abs(recorded.astype(np.float64) - replayed.astype(np.float64))
    # Not `difference > tolerance`: a number that is none must not pass.
    return np.nan_to_num(difference, nan=np.inf), ~(difference <= tolerance.at(recorded))


def _best_apart(
    recorded: Evidence, replayed: Evidence, position: int, tolerance: Tolerance
) -> tuple[float, bool]:
    """Compare the best logits by id; an id that only one side lists lies below the other's list."""
    assert recorded.top_ids is not None and recorded.top_logits is not None
    assert replayed.top_ids is not None and replayed.top_logits is not None
    ours = dict(zip(recorded.top_ids[position].tolist(), recorded.top_logits[position].tolist(), strict=True))
    theirs = dict(
        zip(replayed.top_ids[position].tolist(), replayed.top_logits[position].tolist(), strict=True)
    )
    lowest, lowest_of_theirs = min(ours.values()), min(theirs.values())
    # Of a logit that the other side does not list it is known that it is not above the end of that list.
    pairs = [(value, theirs.get(index, min(value, lowest_of_theirs))) for index, value in ours.items()]
    pairs += [(min(value, lowest), value) for index, value in theirs.items() if index not in ours]
    left, right = np.array(pairs).T
    difference, beyond = _apart(left, right, tolerance)
    return float(difference.max()), bool(beyond.any())
