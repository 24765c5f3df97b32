"""What is measured between the stages of a decision. Entropies are in bits."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import compress
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

BIT = 1.0 / math.log(2.0)
FLOOR = -80.0
"""Where log-probabilities end, so that 0 * log 0 needs no branch; e^-80 is a normal float32, and quick."""
NEVER = float("-inf")
BLOCK = 64
"""Rows times points that are measured at once, so that they stay in the processor's cache."""
REMOVED = 3
"""Where the removed mass is in a table of measures."""

Floats = NDArray[np.floating[Any]]


@dataclass(frozen=True, slots=True)
class Measures:
    """Measures of R rows at S points of the stack, float32 [S, R].

    ``points`` names them: ``raw``, then the key of each stage that ran; the last one is final. ``kept``
    counts the ids that can be taken, ``removed`` is the probability that this stage took away from what
    entered it, ``divergence`` is the Kullback-Leibler divergence from raw, ``rank`` of the taken id counts
    from 0, ``stop`` is the probability of the stop token, NaN where there is none.
    """

    points: tuple[str, ...]
    entropy: NDArray[np.float32]
    varentropy: NDArray[np.float32]
    kept: NDArray[np.float32]
    removed: NDArray[np.float32]
    divergence: NDArray[np.float32]
    rank: NDArray[np.float32]
    probability: NDArray[np.float32]
    stop: NDArray[np.float32]


def measure(
    points: tuple[str, ...], snapshots: Sequence[Tensor], token: Tensor, stop: int | None
) -> Measures:
    """Measures of the logits [R, V] at each point, for the taken ids [R].

    By numpy on the CPU, where one row costs a few microseconds a point. A point whose logits are those of the
    point before, the same tensor, costs nothing.
    """
    new = [index == 0 or snapshots[index - 1] is not logits for index, logits in enumerate(snapshots)]
    distinct = [logits.float().cpu().numpy() for logits in compress(snapshots, new)]
    chosen = token.cpu().numpy()
    block = max(1, BLOCK // len(distinct))
    parts = [
        _table(np.array([logits[at : at + block] for logits in distinct]), chosen[at : at + block], stop)
        for at in range(0, len(chosen), block)
    ]
    table = parts[0] if len(parts) == 1 else np.concatenate(parts, -1)
    if len(distinct) < len(points):
        table = table[:, np.cumsum(new) - 1]
        table[REMOVED, ~np.array(new)] = 0.0
    return Measures(points, *table)


def _table(shifted: Floats, token: NDArray[np.int64], stop: int | None) -> Floats:
    """The eight measures [8, S, R] of logits [S, R, V], which are overwritten."""
    live = (shifted > NEVER).astype(np.float32)
    shifted -= shifted.max(-1, keepdims=True)
    np.maximum(shifted, FLOOR, out=shifted)
    share = np.exp(shifted)
    total = np.vecdot(share, live)
    log_total = np.log(total)
    mean = np.vecdot(share, shifted) / total
    mean_of_raw = np.vecdot(share, shifted[:1]) / total
    survived = np.vecdot(share[:-1], live[1:]) / total[:-1]
    square = np.vecdot(np.multiply(share, shifted, out=share), shifted) / total
    taken = shifted[:, np.arange(len(token)), token]
    result: Floats = np.zeros((8, *total.shape), dtype=np.float32)
    result[0] = BIT * (log_total - mean)
    result[1] = np.maximum(BIT * BIT * (square - mean * mean), 0.0)
    result[2] = live.sum(-1)
    result[REMOVED, 1:] = np.maximum(1.0 - survived, 0.0)
    result[4] = np.maximum(BIT * (mean - log_total - mean_of_raw + log_total[:1]), 0.0)
    result[5] = (shifted > taken[..., None]).sum(-1)
    result[6] = _probability(taken, total)
    known = stop is not None and stop < shifted.shape[-1]
    result[7] = _probability(shifted[..., stop], total) if known else np.nan
    return result


def _probability(shifted: Floats, total: Floats) -> Floats:
    """Probabilities, exactly 0 at the floor."""
    return np.where(shifted <= FLOOR, 0.0, np.exp(shifted) / total)


def entropies(logits: Tensor) -> dict[str, Tensor]:
    """Entropy and varentropy of each row in bits, [R, 1]: what curves and conditions follow."""
    log_probability = logits.log_softmax(-1).clamp_(min=FLOOR)
    surprise = log_probability.exp() * log_probability
    negative_entropy = surprise.sum(-1, keepdim=True)
    square = (surprise * log_probability).sum(-1, keepdim=True)
    varentropy = (square - negative_entropy.square()).clamp_(min=0.0)
    return {"entropy": -BIT * negative_entropy, "varentropy": BIT * BIT * varentropy}
