"""What the decisions of level 0 were made from, made again by one pass over the codes that came of them."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields

import numpy as np
import torch
from torch import Tensor

from valle.decoding.attention import Floats, measured
from valle.decoding.branches import Pair, in_one_pass, with_frames
from valle.errors import UserError
from valle.models.ar_nar import ArNar
from valle.request import Recipe
from valle.samplers.rows import AttentionMeasures


@dataclass(frozen=True, eq=False)
class RawRows:
    """What the decisions of level 0 of a segment are made from, a row each."""

    logits: Tensor
    """Raw conditional logits [N, V]."""
    null: Tensor | None = None
    attention: AttentionMeasures | None = None
    again: bool = False
    """Whether one pass has made them again."""

    def has(self, needs: frozenset[str]) -> bool:
        """Whether stages find here what they need of a row."""
        return not ("null" in needs and self.null is None) and not (
            "attention" in needs and self.attention is None
        )

    def row(self, number: int) -> RawRows:
        """One of them alone."""
        at, attention = slice(number, number + 1), self.attention
        if attention is not None:
            attention = AttentionMeasures(*(getattr(attention, item.name)[at] for item in fields(attention)))
        return RawRows(self.logits[at], None if self.null is None else self.null[at], attention, self.again)

    @property
    def size(self) -> int:
        """Bytes."""
        return self.logits.nbytes + (0 if self.null is None else self.null.nbytes)


def forced_pass(
    model: ArNar,
    pair: Pair,
    level_0: Tensor,
    count: int,
    recipe: Recipe,
    needs: frozenset[str] = frozenset(),
) -> RawRows:
    """The first `count` decisions of a segment of these codes [frames], by one pass over them.

    The same as step by step but for the last digits. Raises UserError for a model whose rows see what comes
    after them, so that each decision needs a pass of its own.
    """
    given = Pair(with_frames(pair.conditional, level_0), with_frames(pair.null, level_0))
    if not model.layouts([given.conditional])[0].causal:
        raise UserError("This model sees its output both ways; one pass cannot tell of all decisions.")
    passes = in_one_pass(model, given, recipe, "null" in needs).of_last(len(level_0) + 1)
    attention = None
    if "attention" in needs:
        last = _LastQueries(count, len(level_0) + 1)
        model.full([given.conditional], last)
        attention = last.measures()
    null = None if passes.null is None else passes.null[:count]
    return RawRows(passes.conditional[:count], null, attention, again=True)


class _LastQueries:
    """What the attention of the decisions comes to, of one pass over all of them; see `LastQuery`."""

    def __init__(self, count: int, outputs: int) -> None:
        self._count, self._outputs = count, outputs
        self._layers: list[tuple[Floats, ...]] = []

    def attention(self, layer: int, query: Tensor, key: Tensor) -> None:
        """Take the query [R, H, Tq, d] and all keys [R, H, Tk, d] of a layer; see `Observer`."""
        first = key.shape[2] - self._outputs
        rows = torch.arange(first, first + self._count)
        asked = query[0, :, first : first + self._count].float()
        scores = asked @ key[0].float().transpose(1, 2) / math.sqrt(query.shape[-1])
        seen = torch.arange(key.shape[2]) <= rows[:, None]
        self._layers.append(measured(scores.transpose(0, 1).cpu().numpy(), seen[:, None].numpy()))

    def measures(self) -> AttentionMeasures:
        """For every decision, by layer, [N, layers]."""
        parts = zip(*self._layers, strict=True)
        return AttentionMeasures(*(torch.from_numpy(np.stack(part, 1)) for part in parts))
