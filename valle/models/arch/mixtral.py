"""The Llama body with a mixture of experts in each block."""

from __future__ import annotations

from torch import Tensor

from valle.models.arch.attention import Mask
from valle.models.arch.backbone import present
from valle.models.arch.cache import KeyValues
from valle.models.arch.experts import require_experts, router_loss, use_experts
from valle.models.arch.llama import Llama
from valle.models.arch.observer import Observer
from valle.models.config import ModelConfig


class Mixtral(Llama):
    """Attention as in Llama; of the experts of a block each position is answered by two."""

    def __init__(self, config: ModelConfig) -> None:
        require_experts(config)
        super().__init__(config)
        use_experts(self.layers, config)
        self._present: Tensor | None = None

    def forward(
        self,
        hidden: Tensor,
        positions: Tensor,
        limit: int,
        mask: Mask,
        state: KeyValues | None = None,
        observer: Observer | None = None,
        since: int = 0,
    ) -> Tensor:
        """Run embeddings [R, T, D] at positions [R, T], all below `limit`, through all blocks."""
        self._present = present(hidden) if self.training else None
        return super().forward(hidden, positions, limit, mask, state, observer, since)

    def auxiliary_loss(self) -> Tensor | None:
        """Return the routers' loss of the last pass in training."""
        return router_loss(self.layers, self._present)
