"""The model that writes level 0 by AR and the other levels by NAR, in one set of weights."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional

from valle.models.arch.attention import Mask
from valle.models.arch.cache import Cache
from valle.models.arch.observer import Observer
from valle.models.base import Base, Inputs
from valle.models.layout import Layout

_OUTPUT_TABLES = {"ar": "response.0", "len": "digits", "phonemes": "phonemes", "text": "text"}


class ArNar(Base):
    """A VALL-E with AR and NAR capabilities; `full` and `loss` are those of the base."""

    @torch.inference_mode()
    def begin(
        self, rows: Sequence[Inputs], capacity: int, observer: Observer | None = None
    ) -> tuple[Cache, Tensor]:
        """Read the rows once; return a cache with room for `capacity` steps and the next ids' logits [R, V].

        Rows may differ in length; all must be answered by the same causal head.
        Raises ValueError for rows that cannot be continued step by step together.
        """
        layouts = self.layouts(rows, growing=True)
        head = _common_head(layouts)
        packed = self.pack(layouts, align_end=True)
        width = packed.embeddings.shape[1]
        state = self.model.allocate(len(rows), width + capacity)
        hidden = self.model(
            packed.embeddings,
            packed.positions,
            packed.limit,
            packed.mask,
            state,
            observer,
            since=width - 1,
        )
        keep = None
        if any(packed.offsets):
            places = torch.arange(width + capacity)
            keep = (places >= torch.tensor(packed.offsets).unsqueeze(1))[:, None, None].to(self.device)
        cache = Cache(
            state, self.cache_head(head, rows), [layout.next_position for layout in layouts], capacity, keep
        )
        return cache, self.answer(head, hidden[:, -1])

    @torch.inference_mode()
    def advance(self, cache: Cache, tokens: Tensor, observer: Observer | None = None) -> Tensor:
        """Append one id per row, tokens [R], each at its row's own position; return the next logits [R, V].

        Raises ValueError when the cache is full.
        """
        cache.require_room()
        embedded = functional.embedding(tokens.to(self.device), self.table(self.output_table(cache)))
        positions = torch.tensor([first + cache.step for first in cache.first_positions], device=self.device)
        keep = None if cache.keep is None else cache.keep[..., : cache.state.length + 1]
        hidden = self.model(
            embedded.unsqueeze(1),
            positions.unsqueeze(1),
            max(cache.first_positions) + cache.step + 1,
            Mask(keep=keep),
            cache.state,
            observer,
        )
        cache.advance()
        return self.answer(cache.head, hidden[:, -1])

    def cache_head(self, head: str, rows: Sequence[Inputs]) -> str:
        """The name by which a cache of these rows knows what answers them."""
        return head

    def output_table(self, cache: Cache) -> str:
        """The table that embeds the id which is about to be appended."""
        return _OUTPUT_TABLES[cache.head]


def _common_head(layouts: Sequence[Layout]) -> str:
    heads = {layout.head for layout in layouts}
    if len(heads) != 1:
        raise ValueError(f"rows of one cache need one head, these have {', '.join(sorted(heads))}")
    head = heads.pop()
    if head not in _OUTPUT_TABLES or not all(layout.causal for layout in layouts):
        raise ValueError(f"{head} is not decoded step by step with a cache")
    return head
