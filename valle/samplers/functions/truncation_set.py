"""Truncations that keep a set of ids by what they are together; ties at a cut go to the lowest id."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from valle.samplers.functions.common import NEVER, Parameters, entropy, falling, keep_first
from valle.samplers.rows import Rows


def typical(logits: Tensor, rows: Rows, parameters: Parameters, states: None) -> Tensor:
    """Keeps the ids whose surprise is nearest to the entropy, until they reach p (Meister et al. 2022).

    The most likely id may go.
    """
    p = parameters["p"]
    if not isinstance(p, Tensor) and p >= 1.0:
        return logits
    log_probability = logits.float().log_softmax(-1)
    order = _rising((log_probability + entropy(log_probability)).abs())
    reached = log_probability.gather(-1, order).exp().cumsum(-1)
    if isinstance(p, Tensor):
        p = torch.where(p >= 1.0, 2.0, p)
    keep = torch.ones_like(logits, dtype=torch.bool)
    keep.scatter_(-1, order[:, 1:], reached[:, :-1] < p)
    return torch.where(keep, logits, NEVER)


def _rising(scores: Tensor) -> Tensor:
    """The ids of each row in rising order of scores that are not negative, the lowest id first among equals.

    On the CPU numpy sorts pairs of score and id as whole numbers, many times faster than torch sorts with
    indices: the bits of such floats rise with them. The id is the lower half of a little-endian pair.
    """
    if scores.device.type != "cpu":
        return scores.sort(dim=-1, stable=True).indices
    pairs = np.empty((*scores.shape, 2), dtype="<u4")
    pairs[..., 0] = np.arange(scores.shape[-1])
    pairs[..., 1] = scores.numpy().view(np.uint32)
    pairs.view("<u8")[..., 0].sort(-1)
    return torch.from_numpy(pairs[..., 0].astype(np.int64))


def tail_free(logits: Tensor, rows: Rows, parameters: Parameters, states: None) -> Tensor:
    """Cuts the tail off where the sorted probabilities have become straight (Bricken 2019).

    The absolute second differences of the sorted probabilities, divided by their sum, are added up; where
    they exceed z, the id after the first of that difference's three is the first to go. Ids that cannot be
    taken have no part in it. A flat row has no tail.
    """
    z = parameters["z"]
    if logits.shape[-1] < 3 or (not isinstance(z, Tensor) and z >= 1.0):
        return logits
    ordered = falling(logits)
    probability = ordered.float().softmax(-1)
    slope = probability[:, 1:] - probability[:, :-1]
    bend = torch.where(ordered[:, 2:] > NEVER, (slope[:, 1:] - slope[:, :-1]).abs(), 0.0)
    reached = bend.cumsum(-1)
    straight = (reached <= z * reached[:, -1:]).sum(-1, keepdim=True)
    count = torch.where(straight == bend.shape[-1], logits.shape[-1], straight + 1)
    if isinstance(z, Tensor):
        count = torch.where(z >= 1.0, logits.shape[-1], count)
    return keep_first(logits, ordered, count)


def top_h(logits: Tensor, rows: Rows, parameters: Parameters, states: None) -> Tensor:
    """Keeps the most likely ids while their share of the entropy stays within h (arXiv 2509.02510).

    The entropy is that of the ``candidates`` best ids, all that are considered, as in transformers.
    """
    h = parameters["h"]
    if not isinstance(h, Tensor) and h >= 1.0:
        return logits
    ordered = falling(logits)
    probability = ordered[:, : parameters["candidates"] or None].float().softmax(-1)
    reached = torch.special.entr(probability).cumsum(-1)
    within = (reached <= h * reached[:, -1:]) & (probability > 0)
    kept = keep_first(logits, ordered, within.sum(-1, keepdim=True).clamp_min(1))
    return torch.where(h >= 1.0, logits, kept) if isinstance(h, Tensor) else kept


def xtc(logits: Tensor, rows: Rows, parameters: Parameters, states: None) -> Tensor:
    """With a probability, removes all ids above the threshold but the least likely of them.

    "Exclude top choices" (text-generation-webui PR 6335). The stop token stands outside: it is neither
    removed nor counted as the one that stays.
    """
    probability = logits.float().softmax(-1)
    top = probability >= parameters["threshold"]
    if rows.stop is not None and rows.stop < logits.shape[-1]:
        top[:, rows.stop] = False
    if not bool((top.sum(-1) > 1).any()):
        return logits
    roll = torch.from_numpy(rows.noise("xtc", 1)).to(logits.device)
    least = torch.where(top, probability, torch.inf).argmin(-1, keepdim=True)
    removed = (top & (roll < parameters["probability"])).scatter_(-1, least, False)
    return logits.masked_fill(removed, NEVER)
