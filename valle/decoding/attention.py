"""What a step's attention comes to, at its last query: told by the side channel, only when asked for."""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor

from valle.models.arch.observer import Observer
from valle.samplers.measures import BIT
from valle.samplers.rows import AttentionMeasures

FLOOR = -80.0
"""Where log-probabilities end, so that 0 log 0 is 0."""


class LastQuery:
    """Raw scores q k / sqrt(d) of the last query of the first row of a pass; an observer of that one pass."""

    def __init__(self) -> None:
        self._scores: list[Tensor] = []
        self._width = 1

    def attention(self, layer: int, query: Tensor, key: Tensor) -> None:
        """Take the query [R, H, Tq, d] and all keys [R, H, Tk, d] of a layer; see `Observer`."""
        self._width = query.shape[-1]
        self._scores.append(_by_numpy(query, key) if _suits_numpy(query) else _by_torch(query, key))

    def measures(self) -> AttentionMeasures:
        """What the scores come to, for one row. Raises ValueError if no pass was seen."""
        if not self._scores:
            raise ValueError("no pass was seen, so there is no attention to measure")
        return measured(torch.stack(self._scores) / math.sqrt(self._width))


def _suits_numpy(query: Tensor) -> bool:
    """On the CPU numpy takes less than half the time for products as small as these."""
    return query.device.type == "cpu" and query.dtype == torch.float32 and not query.requires_grad


def _by_numpy(query: Tensor, key: Tensor) -> Tensor:
    return torch.from_numpy(np.matmul(key.numpy()[0], query.numpy()[0, :, -1, :, None])[..., 0])


def _by_torch(query: Tensor, key: Tensor) -> Tensor:
    return (query[0, :, -1:].float() @ key[0].float().transpose(1, 2))[:, 0]


class WithoutPadding:
    """Shows an observer the first row of a batch without the positions that pad it in front."""

    def __init__(self, observer: Observer, padding: int) -> None:
        self._observer, self._padding = observer, padding

    def attention(self, layer: int, query: Tensor, key: Tensor) -> None:
        """Take the query [R, H, Tq, d] and all keys [R, H, Tk, d] of a layer; see `Observer`."""
        new = min(query.shape[2], key.shape[2] - self._padding)
        self._observer.attention(layer, query[:1, :, -new:], key[:1, :, self._padding :])


def measured(scores: Tensor) -> AttentionMeasures:
    """Measures [1, layers] of raw scores [layers, heads, keys] that are all seen.

    Entropy and varentropy (in bits and bits squared) are those of each head, averaged. Agreement is 1 less
    the mean total variation distance of the heads from their mean: 1 where all look at the same, whatever
    the length. Interaction is the mean absolute score (xjdr, entropix, whose agreement was a disagreement).
    """
    log_probability = scores.log_softmax(-1)
    probability = log_probability.exp()
    bits = -BIT * log_probability.clamp_min(FLOOR)
    entropy = (probability * bits).sum(-1)
    varentropy = (probability * (bits - entropy[..., None]) ** 2).sum(-1)
    apart = (probability - probability.mean(1, keepdim=True)).abs().sum(-1) / 2
    return AttentionMeasures(
        entropy=entropy.mean(1)[None],
        varentropy=varentropy.mean(1)[None],
        agreement=1.0 - apart.mean(1)[None],
        interaction=scores.abs().mean((1, 2))[None],
    )
