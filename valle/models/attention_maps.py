"""Where the heads of a causal model look while it writes its output, read off queries and keys.

The queries and keys of an output are collected by an observer, from one pass over the whole of it or step by
step, and turned into weights when somebody asks. Of a head that reads the text forward the weights are those
that it is held to. No logit is touched.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from valle.models.arch.reading import places
from valle.models.layout import Layout

Array = NDArray[np.float32]

SHARED = ("phonemes", "prompt", "response")
"""Parts of the sequence whose shares are told; what is left falls on language, level and separators."""
CHUNK = 256
"""Queries that are worked on at once, so that long takes need little memory."""


class AttentionTrack:
    """Queries and keys of the output of one row, the first of its batch; an observer of its passes.

    Row n of everything below is the decision of the n-th id of the output.
    """

    def __init__(self, layout: Layout, first: int = 1) -> None:
        """`layout` is that of the row before its first pass; `first` decisions are read in that pass."""
        self.spans = layout.spans
        self.output = layout.spans[list(layout.spans)[-1]].start
        self._first = first
        self._places: dict[int, Tensor] = {layer: torch.zeros(0, 0) for layer in layout.forward}
        """Where the first heads that read forward were at each decision so far, [decisions, phonemes]."""
        self._queries: list[list[Tensor]] = []
        self._keys: list[Tensor] = []

    def attention(self, layer: int, query: Tensor, key: Tensor) -> None:
        """Take the query [R, H, Tq, d] and all keys [R, H, Tk, d] of a layer; see `Observer`."""
        if layer == len(self._queries):
            self._queries.append([])
            self._keys.append(key)
        new = 1 if self._queries[layer] else self._first
        self._queries[layer].append(query[0, :, -new:])
        self._keys[layer] = key

    def __len__(self) -> int:
        """Decisions seen so far."""
        return sum(part.shape[1] for part in self._queries[-1]) if self._queries else 0

    @property
    def layers(self) -> int:
        return len(self._queries)

    @property
    def heads(self) -> int:
        return int(self._keys[0].shape[1]) if self._keys else 0

    @torch.inference_mode()
    def weights(self, layer: int, start: int, stop: int) -> Tensor:
        """Weights [H, stop - start, T] of decisions, float32, over the T positions that the last one sees."""
        weights = self._asked(layer, start, stop)
        if layer in self._places:
            text = weights[0, :, self.spans["phonemes"]]
            held = self._read(layer, stop)[start:stop]
            text.copy_(held * text.sum(-1, keepdim=True))
        return weights

    def _asked(self, layer: int, start: int, stop: int) -> Tensor:
        """The weights that the heads ask for, before any of them is held to reading forward."""
        query = self._joined(layer)[:, start:stop].float()
        seen = self.output + len(self) - 1
        key = self._keys[layer][0, :, -seen:][:, : self.output + stop - 1].float()
        scores = query @ key.transpose(-1, -2) / math.sqrt(query.shape[-1])
        positions = torch.arange(key.shape[1], device=key.device)
        last = self.output - 1 + torch.arange(start, stop, device=key.device)
        return scores.masked_fill(positions > last[:, None], -torch.inf).softmax(-1)

    def _read(self, layer: int, stop: int) -> Tensor:
        """Where the head that reads forward was, [stop or more, phonemes]; what is known is followed on."""
        while (known := len(self._places[layer])) < stop:
            looks = self._asked(layer, known, min(known + CHUNK, stop))[0, :, self.spans["phonemes"]]
            before = self._places[layer].to(looks.device)
            new = places(looks, before[-1] if known else None)
            self._places[layer] = torch.cat([before, new]) if known else new
        return self._places[layer]

    def shares(self, start: int, stop: int) -> Array:
        """How much each head looks at each part of SHARED, [layers, heads, stop - start, 3]."""
        found = np.zeros((self.layers, self.heads, stop - start, len(SHARED)), np.float32)
        for layer in range(self.layers):
            weights = self.weights(layer, start, stop)
            for part, name in enumerate(SHARED):
                if (span := self._span(name)) is not None:
                    found[layer, :, :, part] = weights[:, :, span].sum(-1).cpu().numpy()
        return found

    def text(self, start: int, stop: int) -> Array:
        """What falls on each phoneme, [layers, heads, stop - start, phonemes]."""
        span = self.spans["phonemes"]
        found = np.zeros((self.layers, self.heads, stop - start, span.stop - span.start), np.float32)
        for layer in range(self.layers):
            for at in range(start, stop, CHUNK):
                weights = self.weights(layer, at, min(at + CHUNK, stop))[:, :, span]
                found[layer, :, at - start : at - start + CHUNK] = weights.cpu().numpy()
        return found

    def head(self, layer: int, head: int, row: int) -> dict[str, Array]:
        """What one head looks at in one decision: the weights over the positions of each part of SHARED."""
        weights = self.weights(layer, row, row + 1)[head, 0].cpu().numpy()
        spans = {name: self._span(name) for name in SHARED}
        return {
            name: np.zeros(0, np.float32) if span is None else weights[span] for name, span in spans.items()
        }

    def _span(self, name: str) -> slice | None:
        """The positions of a part; the output's grow with it."""
        if name == "response":
            return slice(self.output, None)
        return self.spans.get(name)

    def _joined(self, layer: int) -> Tensor:
        """All queries of a layer, [H, decisions, d], joined once."""
        parts = self._queries[layer]
        if len(parts) > 1:
            parts[:] = [torch.cat(parts, dim=1)]
        return parts[0]


def monotone_paths(weights: Array, whole: bool = True) -> tuple[NDArray[np.int64], Array]:
    """The way through each map [maps, rows, columns] that gathers the most: from the first column on, to the
    last one where the output is `whole`; a row stays in its column or goes on by one.

    Gives the column of each row, [maps, rows], and the mean weight on the way, [maps]. Where there are too
    few rows to arrive so, a row may go further. The search is that of Glow-TTS (arXiv 2005.11129, algorithm
    1), on weights instead of logarithms.
    """
    maps, rows, columns = weights.shape
    pace = max(1, -(-(columns - 1) // max(1, rows - 1))) if whole else 1
    best = np.full((maps, columns + pace), -np.inf)
    best[:, pace] = weights[:, 0, 0]
    moves = np.zeros((maps, rows, columns), np.int16)
    for row in range(1, rows):
        reached = np.stack([best[:, pace - move : pace - move + columns] for move in range(pace + 1)])
        moves[:, row] = reached.argmax(0)
        best[:, pace:] = reached.max(0) + weights[:, row]
    path = np.zeros((maps, rows), np.int64)
    ends = best[:, pace:]
    path[:, -1] = columns - 1 if whole else ends.argmax(-1)
    every = np.arange(maps)
    for row in range(rows - 1, 0, -1):
        path[:, row - 1] = path[:, row] - moves[every, row, path[:, row]]
    return path, (ends[every, path[:, -1]] / rows).astype(np.float32)


def monotony(text: Array, whole: bool = True) -> Array:
    """How much each head reads along, [maps], 0 to 1.

    That is what its weights on the text [maps, rows, columns] gather on the best way from the first phoneme
    on, less what staying on the best phoneme would.
    """
    _, along = monotone_paths(text, whole)
    return np.maximum(along - text.mean(1).max(-1), 0.0)


def best_heads(text: Array, count: int, whole: bool = True) -> Sequence[tuple[int, int, float]]:
    """The `count` heads that read along the most, as layer, head and monotony.

    text: [layers, heads, rows, columns].
    """
    layers, heads, rows, columns = text.shape
    scores = monotony(text.reshape(layers * heads, rows, columns), whole)
    order = np.argsort(-scores, kind="stable")[:count]
    return [(int(index) // heads, int(index) % heads, float(scores[index])) for index in order]
