"""Noise as a function of what it decides: no generator with a hidden position.

The bits come from numpy's Philox with the key (seed, 0) and a counter that spells out the decision, so that
rewinding, reordering a stack and comparing two stacks on the same noise need no bookkeeping.

Counter words, uint64: 0 (the block counter, always from 0), purpose << 48 | occurrence << 32 | position,
hypothesis << 32 | step, segment << 32 | phase << 8 | level.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from valle.samplers.declaration import PHASES

SCHEME = "philox-1"
"""The name that a session keeps; it changes with the layout of the counter."""

PHASE_NUMBERS: Mapping[str, int] = {phase: number for number, phase in enumerate(PHASES)}
PURPOSES: Mapping[str, int] = {"choose": 0, "redraw": 1, "xtc": 2, "remask": 3, "candidates": 16}

Integers = NDArray[np.int64]


def counters(
    purpose: int,
    occurrence: int,
    phase: int,
    *,
    segment: Integers,
    hypothesis: Integers,
    level: Integers,
    step: Integers,
    position: Integers,
) -> NDArray[np.uint64]:
    """Counters [R, 4] of decisions; the arrays are [R].

    Raises ValueError where a number does not fit its part of the counter.
    """
    if ((segment | hypothesis | step | position) >> 32 | level >> 8).any():
        raise ValueError(
            "segment, hypothesis, step and position must be below 2^32, level below 2^8, none negative"
        )
    words = np.zeros((len(step), 4), dtype=np.uint64)
    words[:, 1] = position
    words[:, 1] |= np.uint64(purpose << 48 | occurrence << 32)
    words[:, 2] = hypothesis << 32 | step
    words[:, 3] = segment << 32 | phase << 8 | level
    return words


def bits(seeds: NDArray[np.uint64], counter: NDArray[np.uint64], width: int) -> NDArray[np.uint64]:
    """Random bits [R, width] for seeds [R] and counters [R, 4].

    One generator is set to each row in turn, which takes a fifth of the time of making one.
    """
    result = np.empty((len(counter), width), dtype=np.uint64)
    key = np.zeros((len(counter), 2), dtype=np.uint64)
    key[:, 0] = seeds
    if not len(result):
        return result
    generator = np.random.Philox(key=key[0], counter=counter[0])
    state = generator.state  # with an empty buffer
    for row in range(len(counter)):
        if row:
            state["state"] = {"counter": counter[row], "key": key[row]}
            generator.state = state
        result[row] = generator.random_raw(width)
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
