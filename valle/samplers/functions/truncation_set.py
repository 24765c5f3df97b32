"""Truncations that keep a set of ids by what they are together; ties at a cut go to the lowest id."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from valle.samplers.functions.common import (
    FLOOR,
    NEVER,
    Parameters,
    entropy,
    falling,
    floats,
    keep_first,
    kept,
    single_column,
    whole_at_one,
)
from valle.samplers.rows import Rows

ID = np.uint64(0xFFFFFFFF)
"""The half of a pair that holds the id."""


def typical(logits: Tensor, rows: Rows, parameters: Parameters, states: None) -> Tensor:
    """Keeps the ids whose surprise is nearest to the entropy, until they reach p (Meister et al. 2022).

    The most likely id may go.
    """
    p = parameters["p"]
    if not isinstance(p, Tensor) and p >= 1.0:
        return logits
    log_probability = logits.float().log_softmax(-1).cpu()
    pairs = _pairs((log_probability + entropy(log_probability)).abs().numpy())
    rising = np.sort(pairs, -1)
    order = torch.from_numpy((rising & ID).view(np.int64))
    reached = log_probability.gather(-1, order).clamp_min_(FLOOR).exp_().cumsum(-1).numpy()
    last = (reached[:, :-1] < whole_at_one(p)).sum(-1)
    keep = pairs <= rising[np.arange(len(rising)), last, None]
    return kept(floats(logits), keep, logits)


def _pairs(scores: NDArray[np.float32]) -> NDArray[np.uint64]:
    """Scores that are not negative with their ids below them, as whole numbers that rise as the scores do.

    numpy sorts these many times faster than torch sorts with indices, the lowest id first among equals: the
    bits of such floats rise with them.
    """
    pairs = scores.view(np.uint32).astype(np.uint64)
    pairs <<= np.uint64(32)
    pairs |= np.arange(scores.shape[-1], dtype=np.uint64)
    return pairs


def tail_free(logits: Tensor, rows: Rows, parameters: Parameters, states: None) -> Tensor:
    """Cuts the tail off where the sorted probabilities have become straight (Bricken 2019).

    The absolute second differences of the sorted probabilities, divided by their sum, are added up; where
    they exceed z, the id after the first of that difference's three is the first to go. Ids that cannot be
    taken have no part in it. A flat row has no tail.
    """
    z = parameters["z"]
    if logits.shape[-1] < 3 or (not isinstance(z, Tensor) and z >= 1.0):
        return logits
    z, given = single_column(z), floats(logits)
    ordered = falling(given)
    probability = torch.from_numpy(ordered.copy()).softmax(-1).numpy()
    slope = probability[:, 1:] - probability[:, :-1]
    bend = np.where(ordered[:, 2:] > NEVER, np.abs(slope[:, 1:] - slope[:, :-1]), 0.0)
    reached = torch.from_numpy(bend).cumsum(-1).numpy()
    straight = (reached <= z * reached[:, -1:]).sum(-1, keepdims=True)
    whole = (straight == bend.shape[-1]) | np.greater_equal(z, 1.0)
    return keep_first(given, ordered, np.where(whole, logits.shape[-1], straight + 1), logits)


def top_h(logits: Tensor, rows: Rows, parameters: Parameters, states: None) -> Tensor:
    """Keeps the most likely ids while their share of the entropy stays within h (arXiv 2509.02510).

    The entropy is that of the ``candidates`` best ids, all that are considered, as in transformers.
    """
    h = parameters["h"]
    if not isinstance(h, Tensor) and h >= 1.0:
        return logits
    given = floats(logits)
    ordered = falling(given)
    probability = torch.from_numpy(ordered.copy())[:, : parameters["candidates"] or None].softmax(-1)
    reached = torch.special.entr(probability).cumsum(-1).numpy()
    within = (reached <= single_column(h) * reached[:, -1:]) & (probability.numpy() > 0)
    best = keep_first(given, ordered, np.maximum(within.sum(-1, keepdims=True), 1), logits)
    return torch.where(h >= 1.0, logits, best) if isinstance(h, Tensor) else best


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
