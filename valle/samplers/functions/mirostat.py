"""Mirostat: draws whose surprise stays near a target, by a cut that learns from every draw.

Basu et al. 2020, arXiv 2007.14966 (version 1); version 2 as in llama.cpp.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from valle.samplers.functions.choosers import draw_from, falling_ids, log_probabilities
from valle.samplers.functions.common import Choice, Parameters, of_rows
from valle.samplers.rows import Rows
from valle.samplers.values import Curve

FLAT = 1e-6
"""The exponent up to which a row counts as flat."""

Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class MirostatState:
    """``mu`` [R]: the greatest surprise, in bits, that the next draw of each row may have."""

    mu: Tensor


def start_mirostat(rows_count: int, parameters: Parameters, device: torch.device | str) -> MirostatState:
    """Twice the target; where that follows a curve, twice its first value."""
    target = parameters["target"]
    first = target.values[0] if isinstance(target, Curve) else target
    return MirostatState(torch.full((rows_count,), 2.0 * first, device=device))


def mirostat(logits: Tensor, rows: Rows, parameters: Parameters, states: MirostatState) -> Choice:
    """An id drawn from those that mu leaves."""
    final = logits.cpu().numpy()
    kept = mirostat_kept(final, _numbers(states.mu), parameters)
    return draw_from(final, np.where(kept, final, -np.inf), rows, "choose")


def accept_mirostat(
    states: MirostatState, rows: Rows, parameters: Parameters, logits: Tensor, token: Tensor
) -> MirostatState:
    """Mu after a draw: lower by the learning rate times what its surprise was above the target.

    A forced id that could not have been drawn says nothing about the cut and leaves mu as it is.
    """
    final, mu = logits.cpu().numpy(), _numbers(states.mu)
    log_probability = log_probabilities(final)
    if parameters["surprise"] == "kept":
        kept = mirostat_kept(final, mu, parameters)
        log_probability = log_probabilities(np.where(kept, final, -np.inf))
    surprise = -log_probability[np.arange(len(final)), token.cpu().numpy()] / math.log(2)
    error = np.where(np.isfinite(surprise), surprise - of_rows(parameters["target"]), 0.0)
    mu = mu - of_rows(parameters["learning_rate"]) * error
    return MirostatState(torch.from_numpy(mu.astype(np.float32)).to(states.mu.device))


def mirostat_kept(final: NDArray[np.float32], mu: Floats, parameters: Parameters) -> Mask:
    """Which ids [R, V] may be drawn under mu [R]; at least the best of each row."""
    if parameters["version"] == 1:
        return _kept_by_zipf(final, mu, parameters["candidates"])
    surprise = log_probabilities(final) / -math.log(2)
    return np.asarray(surprise <= np.maximum(mu[:, None], surprise.min(-1, keepdims=True)))


def _kept_by_zipf(final: NDArray[np.float32], mu: Floats, candidates: int) -> Mask:
    """The k best ids of each row, for a k [R] from its Zipf exponent."""
    width = final.shape[-1]
    order = falling_ids(final)
    exponent = zipf_exponent(np.take_along_axis(final, order[:, :candidates], -1).astype(np.float64))
    epsilon = np.where(np.abs(exponent - 1) < FLAT, FLAT, exponent - 1)
    # The base 2 logarithm of k, so that no power overflows.
    share = np.log2(epsilon / -np.expm1(-epsilon * math.log(max(width, 2))))
    k = np.exp2(np.clip((share + mu) / np.maximum(exponent, FLAT), 0.0, math.log2(width))).round()
    # Nothing tells the ids of a flat row apart: a cut would take the lowest ones.
    k = np.where(exponent <= FLAT, width, k)
    kept = np.zeros(final.shape, dtype=np.bool_)
    np.put_along_axis(kept, order, np.arange(width) < k[:, None], -1)
    return kept & np.isfinite(final)


def zipf_exponent(ordered: Floats) -> Floats:
    """The exponent [R] of Zipf's law for logits [R, M] in falling order; 0 where none fits.

    The least squares estimate from the ratios of neighbours, over the ids that can be taken.
    """
    live = np.isfinite(ordered[:, 1:])
    falls = np.where(live, ordered[:, :-1] - np.where(live, ordered[:, 1:], 0.0), 0.0)
    ideal = np.where(live, np.log1p(1 / np.arange(1, ordered.shape[-1])), 0.0)
    squares = (ideal**2).sum(-1)
    return np.asarray((ideal * falls).sum(-1) / np.where(squares > 0, squares, 1.0))


def _numbers(state: Tensor) -> Floats:
    numbers: Floats = state.cpu().double().numpy()
    return numbers
