"""Truncations: all keep at least one id, and ties at a cut go to the lowest id."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from valle.samplers.functions.common import NEVER, Parameters, keep_best, keep_first
from valle.samplers.rows import Rows

FEW = 128
"""How many of the best ids are sorted first where rows are many; a row that needs more is sorted whole."""


def top_k(logits: Tensor, rows: Rows, parameters: Parameters, states: None) -> Tensor:
    """Keeps the k most likely ids; 0 keeps all (Fan et al. 2018)."""
    k, width = parameters["k"], logits.shape[-1]
    if not isinstance(k, Tensor):
        if k == 0 or k >= width:
            return logits
        best = logits.topk(int(k) + 1).values
        threshold = best[:, -2:-1]
        return keep_best(logits, threshold, int(k), (threshold == best[:, -1:]).any())
    count = k.round().long()
    count = torch.where((count == 0) | (count > width), width, count)
    best = logits.topk(min(int(count.max()) + 1, width)).values
    return keep_first(logits, best, count)


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
    if logits.shape[-1] < 3 * FEW or logits.shape[0] < 16:
        return _nucleus(logits, *_sorted(logits), p, parameters["rule"])
    ordered = logits.topk(FEW).values
    top = ordered[:, :1]
    reached = (ordered - top).exp().cumsum(-1) / (logits - top).exp().sum(-1, keepdim=True)
    result = _nucleus(logits, ordered, reached, p, parameters["rule"])
    short = reached[:, -2:-1] <= p
    if bool(short.any()):
        row = short[:, 0].nonzero()[:, 0]
        whole = logits[row]
        limit = p[row] if isinstance(p, Tensor) else p
        result = result.index_copy(0, row, _nucleus(whole, *_sorted(whole), limit, parameters["rule"]))
    return result


def _sorted(logits: Tensor) -> tuple[Tensor, Tensor]:
    ordered = logits.sort(dim=-1, descending=True).values
    return ordered, ordered.softmax(-1).cumsum(-1)


def _nucleus(logits: Tensor, ordered: Tensor, reached: Tensor, p: float | Tensor, rule: str) -> Tensor:
    """Applies the rule, given the best logits in falling order and the probability they reach together."""
    match rule:
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
