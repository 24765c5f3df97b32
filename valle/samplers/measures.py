"""What is measured between the stages of a decision. Entropies are in bits."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

BIT = 1.0 / math.log(2.0)
FLOOR = -80.0
"""Where log-probabilities end, so that 0 * log 0 needs no branch; e^-80 is a normal float32, and quick."""
NEVER = float("-inf")
BLOCK = 64
"""Rows times points that are measured at once on the CPU, so that they stay in its cache."""


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


def measure(points: tuple[str, ...], snapshots: list[Tensor], token: Tensor, stop: int | None) -> Measures:
    """Measures of the logits [R, V] at each point, for the taken ids [R]."""
    rows = len(token)
    step = rows if token.is_cuda else max(1, BLOCK // len(points))
    if rows <= step:
        table = _table(torch.stack(snapshots), token, stop)
    else:
        parts = [
            _table(torch.stack([logits[at : at + step] for logits in snapshots]), token[at : at + step], stop)
            for at in range(0, rows, step)
        ]
        table = torch.cat(parts, -1)
    return Measures(points, *table.cpu().numpy())


def _table(logits: Tensor, token: Tensor, stop: int | None) -> Tensor:
    """The eight measures [8, S, R] of logits [S, R, V]."""
    log_probability = logits.log_softmax(-1).clamp_(min=FLOOR)
    probability = log_probability.exp()
    surprise = probability * log_probability
    live = logits > NEVER
    negative_entropy = surprise.sum(-1)
    square = torch.linalg.vecdot(surprise, log_probability)
    cross = torch.linalg.vecdot(probability, log_probability[:1])
    survived = torch.linalg.vecdot(probability[:-1], live[1:].to(probability.dtype))
    chosen = token.view(1, -1, 1).expand(len(logits), -1, 1)
    taken = log_probability.gather(-1, chosen)
    stops = stop is not None and stop < logits.shape[-1]
    return torch.stack(
        (
            -BIT * negative_entropy,
            (BIT * BIT * (square - negative_entropy.square())).clamp_(min=0.0),
            live.sum(-1).to(probability.dtype),
            torch.cat((torch.zeros_like(negative_entropy[:1]), (1.0 - survived).clamp_(min=0.0))),
            (BIT * (negative_entropy - cross)).clamp_(min=0.0),
            (log_probability > taken).sum(-1).to(probability.dtype),
            _exact(taken[..., 0]),
            _exact(log_probability[..., stop]) if stops else torch.full_like(negative_entropy, torch.nan),
        )
    )


def _exact(log_probability: Tensor) -> Tensor:
    """Probabilities, exactly 0 at the floor."""
    return torch.where(log_probability <= FLOOR, 0.0, log_probability.exp())


def entropies(logits: Tensor) -> dict[str, Tensor]:
    """Entropy and varentropy of each row in bits, [R, 1]: what curves and conditions follow."""
    log_probability = logits.log_softmax(-1).clamp_(min=FLOOR)
    surprise = log_probability.exp() * log_probability
    negative_entropy = surprise.sum(-1, keepdim=True)
    square = (surprise * log_probability).sum(-1, keepdim=True)
    varentropy = (square - negative_entropy.square()).clamp_(min=0.0)
    return {"entropy": -BIT * negative_entropy, "varentropy": BIT * BIT * varentropy}
