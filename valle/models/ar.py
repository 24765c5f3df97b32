"""The model that writes all codebooks in one stream, those of a frame one after the other.

Flattened codes, as in Copet et al. 2023, arXiv 2306.05284; the reference's `experimental.interleave`.
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from valle.errors import UserError
from valle.models.ar_nar import ArNar
from valle.models.arch.cache import Cache
from valle.models.base import Inputs
from valle.models.config import ModelConfig

_HEAD = "ar"


class Interleaved(ArNar):
    """An AR whose response is flat: Inputs.response is [frames * levels, 1], or [frames, levels] as a whole.

    One head answers for every codebook. Raises UserError for a configuration that sums the response's levels:
    an id would not be seen by the one that follows it.
    """

    def __init__(self, config: ModelConfig) -> None:
        if config.sums_response:
            raise UserError(
                "model config: interleave is supported without sums of the response; audio_embedding_sums "
                f"is {config.audio_embedding_sums!r}, it must be prompt or none"
            )
        super().__init__(config)

    def answer(self, head: str, hidden: Tensor) -> Tensor:
        """Return the float32 logits of a head; a cache's is the AR's, whichever codebook is next."""
        return super().answer(_HEAD if head.startswith(f"{_HEAD}@") else head, hidden)

    def cache_head(self, head: str, rows: Sequence[Inputs]) -> str:
        """The head, and for the AR the codebook that the rows go on with; ValueError where they differ."""
        if head != _HEAD:
            return head
        lengths = [0 if row.response is None else row.response.numel() for row in rows]
        levels = {length % self.config.audio_levels for length in lengths}
        if len(levels) != 1:
            raise ValueError("rows of one cache must go on with the same codebook")
        return f"{_HEAD}@{levels.pop()}"

    def output_table(self, cache: Cache) -> str:
        """The table that embeds the id which is about to be appended: that of its codebook."""
        _, at, first = cache.head.partition("@")
        if not at:
            return super().output_table(cache)
        return f"response.{(int(first) + cache.step) % self.config.audio_levels}"
