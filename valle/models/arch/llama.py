"""The Llama body: pre-norm blocks of rotary attention and a gated layer with exact GELU.

RMSNorm is arXiv 1910.07467, the gated layer arXiv 2002.05202; names of tensors are those of Llama.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor, nn
from torch.nn import functional

from valle.models.arch.attention import Kernel, Mask
from valle.models.arch.backbone import Backbone
from valle.models.arch.cache import KeyValues
from valle.models.arch.observer import Observer
from valle.models.arch.reading import Reading
from valle.models.arch.rotary import Rotary, Rotation
from valle.models.arch.together import Together
from valle.models.config import ModelConfig

_EPSILON = 1e-6


class Extending(Protocol):
    """What takes in the keys and values of a layer and gives all that the layer is to see."""

    reading: Reading | None

    def extend(self, layer: int, key: Tensor, value: Tensor) -> tuple[Tensor, Tensor]:
        """Write key and value [R, H, T, d] of a layer; return all of them, [R, H, Tk, d]."""


@dataclass(frozen=True, eq=False)
class Pass:
    """What is the same for all blocks in one pass."""

    rotation: Rotation
    mask: Mask
    state: Extending | None
    observer: Observer | None
    reading: Reading | None = None


class RMSNorm(nn.Module):
    """Scale to unit root mean square, in float32."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(dim))

    def forward(self, hidden: Tensor) -> Tensor:
        """Return hidden [..., D] normalised, in its own dtype."""
        return torch.rms_norm(hidden, self.weight.shape, self.weight, _EPSILON)


class Attention(nn.Module):
    """Attention over all positions so far, without biases."""

    def __init__(self, config: ModelConfig, layer: int) -> None:
        super().__init__()
        self._layer = layer
        self._heads, self._head_dim = config.heads, config.head_dim
        self.kernel = Kernel(config.attention)
        self.q_proj = nn.Linear(config.dim, config.dim, bias=False)
        self.k_proj = nn.Linear(config.dim, config.dim, bias=False)
        self.v_proj = nn.Linear(config.dim, config.dim, bias=False)
        self.o_proj = nn.Linear(config.dim, config.dim, bias=False)
        self._together = Together()

    def forward(self, hidden: Tensor, common: Pass, since: int = 0) -> Tensor:
        """Return what every position of hidden [R, T, D] from `since` on gathers, [R, T - since, D]."""
        projected = self._together(hidden, self.q_proj, self.k_proj, self.v_proj)
        query, key, value = (self._split(each) for each in projected)
        query, key = common.rotation.apply(query), common.rotation.apply(key)
        if common.state is not None:
            key, value = common.state.extend(self._layer, key, value)
        if common.observer is not None:
            common.observer.attention(self._layer, query, key)
        mask = common.mask
        if since:
            query, mask = query[:, :, since:], mask.of_last(hidden.shape[1] - since)
        gathered = self.kernel(query, key, value, mask)
        if common.reading is not None and common.reading.reads(self._layer):
            seen = mask.keep[:, 0] if mask.keep is not None else None
            seen = mask.dense(query, key) if mask.causal else seen
            first = common.reading.gather(self._layer, query[:, 0], key[:, 0], value[:, 0], seen)
            gathered = torch.cat([first.unsqueeze(1), gathered[:, 1:]], 1)
        return self.o_proj(gathered.transpose(1, 2).flatten(2))

    def _split(self, projected: Tensor) -> Tensor:
        rows, length, _ = projected.shape
        return projected.view(rows, length, self._heads, self._head_dim).transpose(1, 2)


class GatedLayer(nn.Module):
    """down(gelu(gate(x)) * up(x)), the GELU exact."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.gate_proj = nn.Linear(config.dim, config.ffn, bias=False)
        self.up_proj = nn.Linear(config.dim, config.ffn, bias=False)
        self.down_proj = nn.Linear(config.ffn, config.dim, bias=False)
        self._together = Together()

    def forward(self, hidden: Tensor) -> Tensor:
        """Return the layer's answer to hidden [..., D]."""
        gate, up = self._together(hidden, self.gate_proj, self.up_proj)
        gated = functional.gelu(gate)
        return self.down_proj(gated * up if torch.is_grad_enabled() else gated.mul_(up))


class Block(nn.Module):
    """Attention, then the gated layer, each on the normalised stream and added to it."""

    def __init__(self, config: ModelConfig, layer: int) -> None:
        super().__init__()
        self.self_attn = Attention(config, layer)
        self.mlp = GatedLayer(config)
        self.input_layernorm = RMSNorm(config.dim)
        self.post_attention_layernorm = RMSNorm(config.dim)

    def forward(self, hidden: Tensor, common: Pass, since: int = 0) -> Tensor:
        """Return the stream [R, T, D] after the block, of the positions from `since` on alone."""
        attended = self.self_attn(self.input_layernorm(hidden), common, since)
        hidden = (hidden[:, since:] if since else hidden) + attended
        return hidden + self.mlp(self.post_attention_layernorm(hidden))


class Llama(Backbone):
    """The stack of blocks and the final norm."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self._config = config
        self._rotary = Rotary(config.head_dim)
        self.layers = nn.ModuleList(Block(config, layer) for layer in range(config.layers))
        self.norm = RMSNorm(config.dim)

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
        if state is not None and mask.reading is not None:
            state.reading = mask.reading.kept(state.capacity)
        common = self.common(positions, limit, mask, state, observer)
        hidden = self.place(hidden, positions)
        last = len(self.layers) - 1
        for layer, block in enumerate(self.layers):
            hidden = self.through(block, hidden, common, since if layer == last else 0)
        if state is not None:
            state.advance(positions.shape[1])
        return self.norm(hidden)

    def place(self, hidden: Tensor, positions: Tensor) -> Tensor:
        """Return what the first block gets of embeddings [R, T, D] at these positions [R, T]."""
        return hidden

    def common(
        self,
        positions: Tensor,
        limit: int,
        mask: Mask,
        state: Extending | None = None,
        observer: Observer | None = None,
    ) -> Pass:
        """Return what the blocks of a pass over these positions [R, T] share."""
        reading = mask.reading if state is None else state.reading
        return Pass(self._rotary.at(positions, limit), mask, state, observer, reading)

    def allocate(self, rows: int, capacity: int) -> KeyValues:
        """Return an empty cache for `capacity` positions of `rows` rows."""
        config = self._config
        return KeyValues.allocate(
            config.layers, rows, config.heads, capacity, config.head_dim, self.norm.weight
        )
