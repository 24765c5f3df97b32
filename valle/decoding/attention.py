"""What a step's attention comes to, at its last query: told by the side channel, only when asked for."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from valle.models.arch.observer import Observer
from valle.samplers.measures import BIT
from valle.samplers.rows import AttentionMeasures

Floats = NDArray[np.float32]


class LastQuery:
    """What the last query of the first row of a pass looks at; an observer of that one pass.

    Queries and keys are only held on to until the measures are asked for, so what holds the keys must not
    have changed by then.
    """

    def __init__(self) -> None:
        self._queries: list[Tensor] = []
        self._keys: list[Tensor] = []

    def attention(self, layer: int, query: Tensor, key: Tensor) -> None:
        """Take the query [R, H, Tq, d] and all keys [R, H, Tk, d] of a layer; see `Observer`."""
        self._queries.append(query)
        self._keys.append(key)

    def measures(self) -> AttentionMeasures:
        """What the scores come to, for one row. Raises ValueError if no pass was seen."""
        if not self._queries:
            raise ValueError("no pass was seen, so there is no attention to measure")
        raw = _by_numpy if _suits_numpy(self._queries[0]) else _by_torch
        scores = raw(self._queries, self._keys)
        scores *= 1 / math.sqrt(self._queries[0].shape[-1])
        return AttentionMeasures(*(torch.from_numpy(part[None]) for part in measured(scores)))


def _suits_numpy(query: Tensor) -> bool:
    """On the CPU numpy takes less than half the time for products as small as these."""
    return query.device.type == "cpu" and query.dtype == torch.float32 and not query.requires_grad


def _by_numpy(queries: Sequence[Tensor], keys: Sequence[Tensor]) -> Floats:
    """Raw products of the last query of the first row, [layers, heads, keys]."""
    return np.stack(
        [
            np.matmul(key.numpy()[0], query.numpy()[0, :, -1, :, None])[..., 0]
            for query, key in zip(queries, keys, strict=True)
        ]
    )


def _by_torch(queries: Sequence[Tensor], keys: Sequence[Tensor]) -> Floats:
    """The same in one product for all layers: on a GPU it is the number of calls that costs."""
    last = torch.stack([query[0, :, -1] for query in queries]).detach().float()
    seen = torch.stack([key[0] for key in keys]).detach().float()
    products: Floats = (seen @ last[..., None])[..., 0].cpu().numpy()
    return products


class WithoutPadding:
    """Shows an observer the first row of a batch without the positions that pad it in front."""

    def __init__(self, observer: Observer, padding: int) -> None:
        self._observer, self._padding = observer, padding

    def attention(self, layer: int, query: Tensor, key: Tensor) -> None:
        """Take the query [R, H, Tq, d] and all keys [R, H, Tk, d] of a layer; see `Observer`."""
        new = min(query.shape[2], key.shape[2] - self._padding)
        self._observer.attention(layer, query[:1, :, -new:], key[:1, :, self._padding :])


def measured(scores: Floats, seen: NDArray[np.bool_] | None = None) -> tuple[Floats, ...]:
    """Entropy, varentropy, agreement and interaction, each [...], of scaled scores [..., heads, keys].

    Entropy and varentropy (in bits and bits squared) are those of each head, averaged. Agreement is 1 less
    the mean total variation distance of the heads from their mean: 1 where all look at the same, whatever
    the length. Interaction is the mean absolute score (xjdr, entropix, whose agreement was a disagreement).
    Where `seen` [..., 1, keys] is given, keys that are not seen count for nothing.
    """
    heads, keys = scores.shape[-2:]
    count: Any = np.float32(keys)
    if seen is not None:
        count = seen.sum((-2, -1), dtype=np.float32)
        scores = np.where(seen, scores, -np.inf)
    shifted = scores - scores.max(-1, keepdims=True)
    probability = np.exp(shifted)
    total = probability.sum(-1, keepdims=True)
    probability /= total
    if seen is not None:
        scores, shifted = np.where(seen, scores, 0.0), np.where(seen, shifted, 0.0)
    mean = np.einsum("...k,...k->...", probability, shifted)[..., None]
    entropy = np.log(total) - mean
    shifted -= mean
    varentropy = np.einsum("...hk,...hk,...hk->...", probability, shifted, shifted)
    probability -= probability.sum(-2, keepdims=True) / heads
    apart = np.abs(probability).sum((-2, -1)) / 2
    return (
        entropy.sum((-2, -1)) * (BIT / heads),
        varentropy * (BIT**2 / heads),
        1.0 - apart / heads,
        np.abs(scores).sum((-2, -1)) / (heads * count),
    )
