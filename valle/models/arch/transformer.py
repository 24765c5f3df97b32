"""The transformer of "Attention is all you need" (arXiv 1706.03762), norms in front (arXiv 2002.04745)."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from valle.models.arch.llama import Llama
from valle.models.arch.rotary import Rotary, Rotation
from valle.models.config import ModelConfig

_WAVELENGTHS = 10_000.0
_EPSILON = 1e-5


class FeedForward(nn.Module):
    """down(gelu(up(x))), the GELU exact."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.up_proj = nn.Linear(config.dim, config.ffn)
        self.down_proj = nn.Linear(config.ffn, config.dim)

    def forward(self, hidden: Tensor) -> Tensor:
        """Return the layer's answer to hidden [..., D]."""
        return self.down_proj(functional.gelu(self.up_proj(hidden)))


class _Unturned(Rotation):
    """No rotation: positions are told by the embeddings."""

    def apply(self, heads: Tensor) -> Tensor:
        return heads


class _NoRotary(Rotary):
    def at(self, positions: Tensor, limit: int) -> Rotation:
        nothing = positions.new_empty(0)
        return _Unturned(nothing, nothing)


class Transformer(Llama):
    """Blocks of plain attention and a feed-forward layer; sines and cosines of the positions are added."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__(config)
        self._rotary = _NoRotary(config.head_dim)
        for block in self.layers:
            block.mlp = FeedForward(config)
            block.input_layernorm = nn.LayerNorm(config.dim, _EPSILON)
            block.post_attention_layernorm = nn.LayerNorm(config.dim, _EPSILON)
        self.norm = nn.LayerNorm(config.dim, _EPSILON)  # type: ignore[assignment]

    def place(self, hidden: Tensor, positions: Tensor) -> Tensor:
        """Return embeddings [R, T, D] with their positions [R, T] added."""
        return hidden + sinusoids(positions, hidden.shape[-1]).to(hidden.dtype)


def sinusoids(positions: Tensor, dim: int) -> Tensor:
    """Return sines, then cosines of positions [R, T] at wavelengths from 2 pi to 20,000 pi, [R, T, dim].

    They are as small as embeddings begin, a tenth.
    """
    exponents = torch.arange(0, dim, 2, dtype=torch.float32, device=positions.device) / dim
    angles = positions.unsqueeze(-1) / _WAVELENGTHS**exponents
    return torch.cat([angles.sin(), angles.cos()], -1) * 0.1
