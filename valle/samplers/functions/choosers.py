"""Greedy and the seeded draw, and what the other choosers share with them.

Scores are compared in numpy on the CPU, so that equal logits give equal tokens on every device.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from valle.samplers.functions.common import Choice, Parameters
from valle.samplers.rows import Rows


def greedy(logits: Tensor, rows: Rows, parameters: Parameters, states: None) -> Choice:
    """The most likely id of each row; the lowest one among equals."""
    final = logits.cpu().numpy()
    return best_of(final, final.astype(np.float64))


def draw(logits: Tensor, rows: Rows, parameters: Parameters, states: None) -> Choice:
    """An id with its probability: the best logit after Gumbel noise in float64 (Gumbel-max).

    A constant added to a row changes nothing, so the logits need no normalising.
    """
    final = logits.cpu().numpy()
    return draw_from(final, final, rows, "choose")


def draw_from(
    final: NDArray[np.float32], values: NDArray[np.floating[Any]], rows: Rows, purpose: str
) -> Choice:
    """An id drawn from the softmax of ``values`` [R, V]; ``final`` are the logits [R, V] that entered."""
    return best_of(final, values + rows.gumbel(purpose, final.shape[-1]))


def best_of(final: NDArray[np.float32], scores: NDArray[np.float64]) -> Choice:
    """The best and second best of ``scores`` [R, V], which is overwritten; ``final`` are logits [R, V]."""
    row = np.arange(len(final))
    token = scores.argmax(-1)
    best = scores[row, token]
    scores[row, token] = -np.inf
    second = scores.argmax(-1)
    following = scores[row, second]
    second[following == -np.inf] = -1
    return Choice(token, log_probability(final, token), second, best - following)


def log_probability(final: NDArray[np.float32], token: NDArray[Any]) -> NDArray[np.float32]:
    """Log-probability [R] of an id per row, in nats."""
    top = final.max(-1)
    total = np.log(np.exp(final - top[:, None]).sum(-1))
    return np.asarray(final[np.arange(len(final)), token] - top - total)


def log_probabilities(final: NDArray[np.floating[Any]]) -> NDArray[np.float64]:
    """Log-probabilities [R, V] in nats and float64; -inf where an id cannot be taken."""
    shifted = final.astype(np.float64) - final.max(-1, keepdims=True)
    return np.asarray(shifted - np.log(np.exp(shifted).sum(-1, keepdims=True)))


def falling_ids(final: NDArray[np.floating[Any]]) -> NDArray[np.int64]:
    """The ids of each row [R, V], the most likely first and the lowest first among equals."""
    return np.argsort(-final, axis=-1, kind="stable")


def column(parameter: float | Tensor) -> float | NDArray[np.float64]:
    """A parameter's values [R, 1] for numpy, or the number that holds for all rows."""
    return parameter.cpu().double().numpy() if isinstance(parameter, Tensor) else parameter
