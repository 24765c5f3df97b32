"""Truncations: all keep at least one id, and ties at a cut go to the lowest id."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from valle.samplers.functions.common import NEVER, Parameters, falling, keep_best, keep_first
from valle.samplers.rows import Rows


def top_k(logits: Tensor, rows: Rows, parameters: Parameters, states: None) -> Tensor:
    """Keeps the k most likely ids; 0 keeps all (Fan et al. 2018)."""
    k, width = parameters["k"], logits.shape[-1]
    if not isinstance(k, Tensor):
        if k == 0 or k >= width:
            return logits
        ordered = falling(logits)
        threshold, following = ordered[:, k - 1 : k], ordered[:, k : k + 1]
        return keep_best(logits, threshold, k, (threshold == following).any())
    count = k.round().long()
    return keep_first(logits, falling(logits), torch.where((count == 0) | (count > width), width, count))


def top_p(logits: Tensor, rows: Rows, parameters: Parameters, states: None) -> Tensor:
    """Keeps the most likely ids until their probabilities reach p (Holtzman et al. 2019).

    ``rule`` says what happens at the boundary: ``reach`` keeps the smallest set with at least p; ``llama3``
    drops an id where the probability before it exceeds p; ``below`` keeps what stays within p, and the first.
    """
    p = parameters["p"]
    if isinstance(p, Tensor):
        p = torch.where(p >= 1.0, 2.0, p)
    elif p >= 1.0:
        return logits
    ordered = falling(logits)
    reached = ordered.softmax(-1).cumsum(-1)
    match parameters["rule"]:
        case "reach":
            count = (reached[:, :-1] < p).sum(-1, keepdim=True) + 1
        case "llama3":
            count = (reached[:, :-1] <= p).sum(-1, keepdim=True) + 1
        case _:
            count = (reached <= p).sum(-1, keepdim=True).clamp_min(1)
    return keep_first(logits, ordered, count)


def min_p(logits: Tensor, rows: Rows, parameters: Parameters, states: None) -> Tensor:
    """Keeps the ids with at least the share p of the highest probability (Nguyen et al. 2024)."""
    p = parameters["p"]
    share = p.log() if isinstance(p, Tensor) else math.log(p) if p > 0 else NEVER
    return torch.where(logits >= logits.amax(-1, keepdim=True) + share, logits, NEVER)
