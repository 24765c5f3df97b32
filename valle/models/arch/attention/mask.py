"""Who sees whom: what all attention backends are told, and what those without masks make of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, NamedTuple, TypeVar, cast

import torch
from torch import Tensor

from valle.models.arch.reading import Reading

Made = TypeVar("Made")


class Span(NamedTuple):
    """The keys that belong to one row of a batch; what is outside is padding."""

    start: int
    end: int
    causal: bool
    """Whether a query sees only the keys up to its own."""


@dataclass(frozen=True, eq=False)
class Mask:
    """Who sees whom. The queries are the last ones of the keys.

    causal: every query sees the keys up to its own; nothing is padded in front.
    keep: bool [R, 1, Tq, Tk] where rows differ; it then holds all there is to know and `causal` is False.
    rows: the same in numbers, for kernels that take no mask; needed where there is more than one query.
    reading: where rows have a text that some heads read forward; no kernel needs to know.
    """

    causal: bool = False
    keep: Tensor | None = None
    rows: tuple[Span, ...] | None = None
    reading: Reading | None = None
    _made: dict[str, Any] = field(default_factory=dict, repr=False)

    def spans(self, rows: int, keys: int) -> tuple[Span, ...]:
        """The span of each row of a batch of so many keys.

        Raises ValueError for a mask of several queries that does not tell its rows.
        """
        if self.keep is None:
            return (Span(0, keys, self.causal),) * rows
        return self.rows or self.once("spans", self._last_query)

    def dense(self, query: Tensor, key: Tensor) -> Tensor:
        """The mask as a bool tensor that fits [R, H, Tq, Tk]."""
        queries, keys = query.shape[2], key.shape[2]
        if self.keep is not None:
            return self.keep
        seen = torch.ones(queries, keys, dtype=torch.bool, device=query.device)
        return seen.tril(keys - queries) if self.causal else seen

    def of_last(self, queries: int) -> Mask:
        """The mask of the last queries alone."""
        if self.keep is None:
            return Mask(causal=self.causal and queries > 1)
        return Mask(keep=self.keep[:, :, -queries:], rows=self.rows)

    def once(self, name: str, make: Callable[[], Made]) -> Made:
        """What a backend derives from the mask: made for the first layer, kept for the others."""
        if name not in self._made:
            self._made[name] = make()
        return cast(Made, self._made[name])

    def _last_query(self) -> tuple[Span, ...]:
        assert self.keep is not None
        if self.keep.shape[2] != 1:
            raise ValueError("a mask of several queries must tell its rows")
        seen = self.keep[:, 0, 0].tolist()
        return tuple(Span(row.index(True), len(row) - row[::-1].index(True), False) for row in seen)
