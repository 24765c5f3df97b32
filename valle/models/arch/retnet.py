"""RetNet: retention in the place of attention (Sun et al., arXiv 2307.08621), with rotary positions."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from valle.models.arch.attention import Mask
from valle.models.arch.backbone import Backbone, present
from valle.models.arch.llama import GatedLayer, RMSNorm
from valle.models.arch.observer import Observer
from valle.models.arch.recurrent import RecurrentState, present_keys
from valle.models.arch.retention import chunkwise, decays, parallel, recurrent
from valle.models.arch.rotary import Rotary, Rotation
from valle.models.config import ModelConfig

_EPSILON = 1e-6


@dataclass(frozen=True, eq=False)
class Pass:
    """What is the same for all blocks in one pass; `present` [R, T] is False on padding in front."""

    rotation: Rotation
    mask: Mask
    log_decay: Tensor
    present: Tensor | None
    state: Tensor | None
    """Of all layers, [R, layers, H, d, d]; it is written to."""


class Retention(nn.Module):
    """Retention over all positions so far, each head normalised by itself and gated."""

    def __init__(self, config: ModelConfig, layer: int) -> None:
        super().__init__()
        self._layer = layer
        self._heads, self._head_dim = config.heads, config.head_dim
        self.q_proj = nn.Linear(config.dim, config.dim, bias=False)
        self.k_proj = nn.Linear(config.dim, config.dim, bias=False)
        self.v_proj = nn.Linear(config.dim, config.dim, bias=False)
        self.g_proj = nn.Linear(config.dim, config.dim, bias=False)
        self.o_proj = nn.Linear(config.dim, config.dim, bias=False)

    def forward(self, hidden: Tensor, common: Pass) -> Tensor:
        """Return what every position of hidden [R, T, D] has of the others."""
        query = common.rotation.apply(self._split(self.q_proj(hidden)))
        key = common.rotation.apply(self._split(self.k_proj(hidden)))
        value = self._split(self.v_proj(hidden))
        with torch.autocast(hidden.device.type, enabled=False):
            kept = self._retain(query, key, value, common)
            normal = functional.rms_norm(kept, kept.shape[-1:], eps=_EPSILON)
        gathered = normal.transpose(1, 2).flatten(2).to(hidden.dtype)
        return self.o_proj(functional.silu(self.g_proj(hidden)) * gathered)

    def _retain(self, query: Tensor, key: Tensor, value: Tensor, common: Pass) -> Tensor:
        if common.state is None:
            return parallel(query, key, value, common.log_decay, common.mask)
        if common.present is not None:
            key = key * common.present[:, None, :, None]
        form = recurrent if query.shape[2] == 1 else chunkwise
        answer, held = form(query, key, value, common.log_decay, common.state[:, self._layer])
        common.state[:, self._layer] = held
        return answer

    def _split(self, projected: Tensor) -> Tensor:
        rows, length, _ = projected.shape
        return projected.view(rows, length, self._heads, self._head_dim).transpose(1, 2)


class Block(nn.Module):
    """Retention, then the gated layer, each on the normalised stream and added to it."""

    def __init__(self, config: ModelConfig, layer: int) -> None:
        super().__init__()
        self.retention = Retention(config, layer)
        self.mlp: nn.Module = GatedLayer(config)
        self.input_layernorm = RMSNorm(config.dim)
        self.post_attention_layernorm = RMSNorm(config.dim)

    def forward(self, hidden: Tensor, common: Pass) -> Tensor:
        """Return the stream [R, T, D] after the block."""
        hidden = hidden + self.retention(self.input_layernorm(hidden), common)
        return hidden + self.mlp(self.post_attention_layernorm(hidden))


class RetNet(Backbone):
    """The stack of blocks and the final norm; where rows may look ahead, what comes fades as the past."""

    attends = False

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self._config = config
        self._rotary = Rotary(config.head_dim)
        self.layers = nn.ModuleList(Block(config, layer) for layer in range(config.layers))
        self.norm = RMSNorm(config.dim)
        self._present: Tensor | None = None
        if config.experts > 1:
            from valle.models.arch.experts import use_experts

            use_experts(self.layers, config)

    def forward(
        self,
        hidden: Tensor,
        positions: Tensor,
        limit: int,
        mask: Mask,
        state: RecurrentState | None = None,
        observer: Observer | None = None,
        since: int = 0,
    ) -> Tensor:
        """Run embeddings [R, T, D] at positions [R, T], all below `limit`, through all blocks."""
        given = hidden
        self._present = present(hidden) if self.training and self._config.experts > 1 else None
        common = Pass(
            self._rotary.at(positions, limit),
            mask,
            decays(self._config.heads, hidden.device),
            present_keys(mask.keep) if state is not None and hidden.shape[1] > 1 else None,
            None if state is None else state.tensors[0],
        )
        for block in self.layers:
            hidden = self.through(block, hidden, common)
        if state is not None:
            state.advance(given, positions)
        return self.norm(hidden[:, since:])

    def allocate(self, rows: int, capacity: int) -> RecurrentState:
        """Return an empty state; `capacity` is for the inputs that are kept to go back to."""
        config, like = self._config, self.norm.weight
        size = (rows, config.layers, config.heads, config.head_dim, config.head_dim)
        held = torch.zeros(size, dtype=torch.float32, device=like.device)
        return RecurrentState.allocate([held], capacity, like, self._again)

    def auxiliary_loss(self) -> Tensor | None:
        """Return the routers' loss of the last pass in training, where there are experts."""
        if self._config.experts < 2:
            return None
        from valle.models.arch.experts import router_loss

        return router_loss(self.layers, self._present)

    def _again(self, hidden: Tensor, positions: Tensor, state: RecurrentState) -> None:
        self(hidden, positions, int(positions.max()) + 1, Mask(), state)
