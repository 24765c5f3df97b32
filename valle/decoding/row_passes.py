"""The passes of several rows of a causal phase that are decoded together, each row until it ends."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields

import torch
from torch import Tensor

from valle.decoding.attention import LastQuery
from valle.decoding.branches import Pair, Passes, with_frames
from valle.models.ar_nar import ArNar
from valle.models.arch.cache import Cache
from valle.models.base import Inputs
from valle.samplers.rows import AttentionMeasures


class RowPasses:
    """The caches of a batch: one of the conditional rows, one of the null rows of those that are guided.

    Rows are known by their number. One that is no longer asked for leaves its cache; a null row may join at
    any step, and is then filled by one pass.
    """

    def __init__(self, model: ArNar, pairs: Sequence[Pair], capacity: int) -> None:
        """`capacity` is the most steps of any row."""
        self._model, self._pairs, self._capacity = model, pairs, capacity
        self._conditional: Cache | None = None
        self._rows: list[int] = []
        self._padding: dict[int, int] = {}
        """Positions in front of a row, where another one is longer."""
        self._null: Cache | None = None
        self._null_rows: list[int] = []

    def next(self, rows: Sequence[int], made: Tensor, guided: Sequence[int], attended: bool) -> Passes:
        """Answer what follows `made`, the tokens so far [all rows, step], for `rows` in this order.

        `rows` are some of those of the call before. The null logits are those of the rows `guided`, in that
        order. `attended` asks for the attention that the conditional answers were made with.
        """
        inputs = [self._pairs[row].conditional for row in rows]
        if self._conditional is None:
            lengths = [layout.length for layout in self._model.layouts(inputs, growing=True)]
            self._padding = {row: max(lengths) - own for row, own in zip(rows, lengths, strict=True)}
        watch = EachRow([self._padding[row] for row in rows]) if attended else None
        if self._conditional is None:
            self._conditional, conditional = self._model.begin(inputs, self._capacity, watch)
        else:
            _keep(self._conditional, self._rows, rows)
            conditional = self._model.advance(self._conditional, made[list(rows), -1], watch)
        self._rows = list(rows)
        attention = None if watch is None else watch.measures()
        return Passes(conditional, self._null_logits(guided, made), attention)

    def _null_logits(self, guided: Sequence[int], made: Tensor) -> Tensor | None:
        staying = [row for row in self._null_rows if row in guided]
        joining = [row for row in guided if row not in staying]
        answers = []
        if self._null is not None and staying:
            _keep(self._null, self._null_rows, staying)
            answers.append(self._model.advance(self._null, made[staying, -1]))
        else:
            self._null = None
        if joining:
            filled = [self._filled(row, made[row]) for row in joining]
            joined, logits = self._model.begin(filled, self._capacity - made.shape[1])
            self._null = joined if self._null is None else self._null.beside(joined)
            answers.append(logits)
        self._null_rows = [*staying, *joining]
        if not answers:
            return None
        return torch.cat(answers)[[self._null_rows.index(row) for row in guided]]

    def _filled(self, row: int, made: Tensor) -> Inputs:
        return with_frames(self._pairs[row].null, made) if len(made) else self._pairs[row].null


class EachRow:
    """The last query of every row of one pass; an observer."""

    def __init__(self, padding: Sequence[int]) -> None:
        """`padding` [R] are the positions in front of each row."""
        self._padding = padding
        self._rows = [LastQuery() for _ in padding]

    def attention(self, layer: int, query: Tensor, key: Tensor) -> None:
        """Take the query [R, H, Tq, d] and all keys [R, H, Tk, d] of a layer; see `Observer`."""
        for row, (last, padding) in enumerate(zip(self._rows, self._padding, strict=True)):
            last.attention(layer, query[row : row + 1], key[row : row + 1, :, padding:])

    def measures(self) -> AttentionMeasures:
        """What it comes to, [R, layers]."""
        rows = [last.measures() for last in self._rows]
        names = [field.name for field in fields(AttentionMeasures)]
        return AttentionMeasures(**{name: torch.cat([getattr(row, name) for row in rows]) for name in names})


def _keep(cache: Cache, rows: Sequence[int], kept: Sequence[int]) -> None:
    """Let go of the rows that are not kept."""
    if list(rows) != list(kept):
        cache.select([rows.index(row) for row in kept])
