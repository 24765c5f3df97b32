"""What is measured between the stages of a decision. Entropies are in bits."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

BIT = 1.0 / math.log(2.0)
FLOOR = -200.0
"""A log-probability whose exponential is 0 in float32, so that 0 * log 0 is 0 without a branch."""


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
    at = torch.stack(snapshots)
    log_probability = at.log_softmax(-1).clamp_(min=FLOOR)
    probability = log_probability.exp()
    surprise = probability * log_probability
    live = probability > 0
    negative_entropy = surprise.sum(-1)
    square = torch.linalg.vecdot(surprise, log_probability)
    cross = torch.linalg.vecdot(probability, log_probability[:1])
    survived = torch.linalg.vecdot(probability[:-1], live[1:].to(probability.dtype))
    chosen = token.view(1, -1, 1).expand(len(snapshots), -1, 1)
    taken = log_probability.gather(-1, chosen)
    stopping = (
        probability[..., stop]
        if stop is not None and stop < at.shape[-1]
        else torch.full_like(negative_entropy, torch.nan)
    )
    removed = torch.cat((torch.zeros_like(survived[:1]), (1.0 - survived).clamp_(min=0.0)))
    if len(snapshots) == 1:
        removed = torch.zeros_like(negative_entropy)
    table = torch.stack(
        (
            -BIT * negative_entropy,
            (BIT * BIT * (square - negative_entropy.square())).clamp_(min=0.0),
            live.sum(-1),
            removed,
            (BIT * (negative_entropy - cross)).clamp_(min=0.0),
            (log_probability > taken).sum(-1),
            probability.gather(-1, chosen)[..., 0],
            stopping,
        )
    )
    return Measures(points, *table.cpu().numpy())


def entropies(logits: Tensor) -> dict[str, Tensor]:
    """Entropy and varentropy of each row in bits, [R, 1]: what curves and conditions follow."""
    log_probability = logits.log_softmax(-1).clamp_(min=FLOOR)
    surprise = log_probability.exp() * log_probability
    negative_entropy = surprise.sum(-1, keepdim=True)
    square = (surprise * log_probability).sum(-1, keepdim=True)
    varentropy = (square - negative_entropy.square()).clamp_(min=0.0)
    return {"entropy": -BIT * negative_entropy, "varentropy": BIT * BIT * varentropy}
