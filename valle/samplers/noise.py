"""Noise as a function of what it decides: no generator with a hidden position.

The bits come from numpy's Philox with the key (seed, 0) and a counter that spells out the decision, so that
rewinding, reordering a stack and comparing two stacks on the same noise need no bookkeeping.

Counter words, uint64: 0 (the block counter, always from 0), purpose << 48 | occurrence << 32 | position,
hypothesis << 32 | step, segment << 32 | phase << 8 | level.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from valle.samplers.declaration import PHASES

SCHEME = "philox-1"
"""The name that a session keeps; it changes with the layout of the counter."""

PHASE_NUMBERS: Mapping[str, int] = {phase: number for number, phase in enumerate(PHASES)}
PURPOSES: Mapping[str, int] = {"choose": 0, "redraw": 1, "xtc": 2, "remask": 3, "candidates": 16}

_BITS = {"purpose": 16, "occurrence": 16, "position": 32, "hypothesis": 32, "step": 32, "segment": 32}
_BITS |= {"phase": 8, "level": 8}


def counters(
    *,
    purpose: int,
    phase: int,
    segment: Any = 0,
    level: Any = 0,
    step: Any = 0,
    position: Any = 0,
    hypothesis: Any = 0,
    occurrence: Any = 0,
) -> NDArray[np.uint64]:
    """Counters [R, 4] of the decisions; each argument is an integer or an array [R].

    Raises ValueError where a value does not fit its part of the counter.
    """
    given = {"purpose": purpose, "occurrence": occurrence, "position": position, "hypothesis": hypothesis}
    given |= {"step": step, "segment": segment, "phase": phase, "level": level}
    part: dict[str, NDArray[np.uint64]] = {}
    for name, value in given.items():
        array = np.atleast_1d(np.asarray(value))
        if array.size and (int(array.min()) < 0 or int(array.max()) >> _BITS[name]):
            raise ValueError(f"{name} must be at least 0 and below 2^{_BITS[name]}")
        part[name] = array.astype(np.uint64)
    word = np.zeros((4, *np.broadcast_shapes(*(array.shape for array in part.values()))), dtype=np.uint64)
    shift = np.left_shift
    word[1] = (
        shift(part["purpose"], np.uint64(48)) | shift(part["occurrence"], np.uint64(32)) | part["position"]
    )
    word[2] = shift(part["hypothesis"], np.uint64(32)) | part["step"]
    word[3] = shift(part["segment"], np.uint64(32)) | shift(part["phase"], np.uint64(8)) | part["level"]
    return np.ascontiguousarray(word.T)


def bits(seeds: NDArray[np.uint64], counter: NDArray[np.uint64], width: int) -> NDArray[np.uint64]:
    """Random bits [R, width] for seeds [R] and counters [R, 4]."""
    result = np.empty((len(counter), width), dtype=np.uint64)
    key = np.zeros((len(counter), 2), dtype=np.uint64)
    key[:, 0] = seeds
    for row in range(len(counter)):
        result[row] = np.random.Philox(key=key[row], counter=counter[row]).random_raw(width)
    return result


def uniforms(seeds: NDArray[np.uint64], counter: NDArray[np.uint64], width: int) -> NDArray[np.float64]:
    """Uniform numbers [R, width] inside (0, 1), never an end: ``((bits >> 12) + 0.5) * 2^-52``."""
    random_bits = bits(seeds, counter, width)
    result = np.right_shift(random_bits, np.uint64(12), out=random_bits).astype(np.float64)
    result += 0.5
    result *= 2.0**-52
    return result


def gumbel(uniform: NDArray[np.float64]) -> NDArray[np.float64]:
    """Standard Gumbel noise of uniform numbers: ``-log(-log u)``."""
    noise = np.log(uniform)
    np.negative(noise, out=noise)
    np.log(noise, out=noise)
    return np.negative(noise, out=noise)
