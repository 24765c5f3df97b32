"""Truncations: all keep at least one id, and ties at a cut go to the lowest id."""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor

from valle.samplers.functions.common import (
    NEVER,
    Parameters,
    falling,
    floats,
    keep_first,
    whole_at_one,
)
from valle.samplers.rows import Rows


def top_k(logits: Tensor, rows: Rows, parameters: Parameters, states: None) -> Tensor:
    """Keeps the k most likely ids; 0 keeps all (Fan et al. 2018)."""
    k, width = parameters["k"], logits.shape[-1]
    if isinstance(k, Tensor):
        k = k.round().long().cpu().numpy()
        k = np.where((k == 0) | (k > width), width, k)
    elif k == 0 or k >= width:
        return logits
    given = floats(logits)
    return keep_first(given, falling(given), k, logits)


def top_p(logits: Tensor, rows: Rows, parameters: Parameters, states: None) -> Tensor:
    """Keeps the most likely ids until their probabilities reach p (Holtzman et al. 2019).

    ``rule`` says what happens at the boundary: ``reach`` keeps the smallest set with at least p; ``llama3``
    drops an id where the probability before it exceeds p; ``below`` keeps what stays within p, and the first.
    """
    p = parameters["p"]
    if not isinstance(p, Tensor) and p >= 1.0:
        return logits
    p, given = whole_at_one(p), floats(logits)
    ordered = falling(given)
    reached = torch.from_numpy(ordered.copy()).softmax(-1).cumsum(-1).numpy()
    match parameters["rule"]:
        case "reach":
            count = (reached[:, :-1] < p).sum(-1, keepdims=True) + 1
        case "llama3":
            count = (reached[:, :-1] <= p).sum(-1, keepdims=True) + 1
        case _:
            count = np.maximum((reached <= p).sum(-1, keepdims=True), 1)
    return keep_first(given, ordered, count, logits)


def min_p(logits: Tensor, rows: Rows, parameters: Parameters, states: None) -> Tensor:
    """Keeps the ids with at least the share p of the highest probability (Nguyen et al. 2024)."""
    p = parameters["p"]
    share = p.log() if isinstance(p, Tensor) else math.log(p) if p > 0 else NEVER
    return torch.where(logits >= logits.amax(-1, keepdim=True) + share, logits, NEVER)
