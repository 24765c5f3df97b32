"""The Llama body: pre-norm blocks of rotary attention and a gated layer with exact GELU.

RMSNorm is arXiv 1910.07467, the gated layer arXiv 2002.05202; names of tensors are those of Llama.
"""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from valle.models.arch.attention import Kernel, Mask
from valle.models.arch.backbone import Backbone
from valle.models.arch.cache import KeyValues
from valle.models.arch.observer import Observer
from valle.models.arch.passing import Extending, Pass
from valle.models.arch.products import Product
from valle.models.arch.rotary import Rotary
from valle.models.arch.stepping import EPSILON, Weights, stepped, unit
from valle.models.arch.together import Together, is_plain
from valle.models.config import ModelConfig


class RMSNorm(nn.Module):
    """Scale to unit root mean square, in float32."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(dim))

    def forward(self, hidden: Tensor) -> Tensor:
        """Return hidden [..., D] normalised, in its own dtype."""
        return torch.rms_norm(hidden, self.weight.shape, self.weight, EPSILON)


class Attention(nn.Module):
    """Attention over all positions so far, without biases."""

    def __init__(self, config: ModelConfig, layer: int) -> None:
        super().__init__()
        self._layer = layer
        self.heads, self._head_dim = config.heads, config.head_dim
        self.kernel = Kernel(config.attention)
        self.q_proj = nn.Linear(config.dim, config.dim, bias=False)
        self.k_proj = nn.Linear(config.dim, config.dim, bias=False)
        self.v_proj = nn.Linear(config.dim, config.dim, bias=False)
        self.o_proj = nn.Linear(config.dim, config.dim, bias=False)
        self._together, self._output = Together(), Together()

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
        gathered = common.read(self._layer, query, key, value, mask, self.kernel(query, key, value, mask))
        return self.o_proj(gathered.transpose(1, 2).flatten(2))

    def as_products(self) -> tuple[Product | None, Product | None]:
        """Return the products of query, key and value side by side and of the output, where they are such."""
        joined = self._together.product(self.q_proj, self.k_proj, self.v_proj)
        return joined, self._output.product(self.o_proj)

    def products(self) -> tuple[nn.Module, ...]:
        """Return the layers that multiply."""
        return self.q_proj, self.k_proj, self.v_proj, self.o_proj

    def _split(self, projected: Tensor) -> Tensor:
        rows, length, _ = projected.shape
        return projected.view(rows, length, self.heads, self._head_dim).transpose(1, 2)


class GatedLayer(nn.Module):
    """down(gelu(gate(x)) * up(x)), the GELU exact."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.gate_proj = nn.Linear(config.dim, config.ffn, bias=False)
        self.up_proj = nn.Linear(config.dim, config.ffn, bias=False)
        self.down_proj = nn.Linear(config.ffn, config.dim, bias=False)
        self._together, self._down = Together(), Together()

    def forward(self, hidden: Tensor) -> Tensor:
        """Return the layer's answer to hidden [..., D]."""
        gate, up = self._together(hidden, self.gate_proj, self.up_proj)
        if torch.is_grad_enabled():
            return self.down_proj(functional.gelu(gate) * up)
        # In place: getting the pages of so large a tensor from the system takes as long as the GELU itself.
        return self.down_proj(torch.ops.aten.gelu_(gate).mul_(up))

    def as_products(self) -> tuple[Product | None, Product | None]:
        """Return the products of gate and up side by side, and of down, where they are such."""
        return self._together.product(self.gate_proj, self.up_proj), self._down.product(self.down_proj)

    def products(self) -> tuple[nn.Module, ...]:
        """Return the layers that multiply."""
        return self.gate_proj, self.up_proj, self.down_proj


def added(answer: Tensor, stream: Tensor) -> Tensor:
    """What a layer answered, added to the stream; in the place of the answer where nobody else needs it."""
    if torch.is_grad_enabled() or answer.dtype != stream.dtype:
        return stream + answer
    return answer.add_(stream)


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
        hidden = added(attended, hidden[:, since:] if since else hidden)
        return added(self.mlp(self.post_attention_layernorm(hidden)), hidden)

    def weights(self) -> Weights | None:
        """Return all that the block multiplies by, or None where a part of it does something else."""
        attention, gated = self.self_attn, self.mlp
        norms = (self.input_layernorm, self.post_attention_layernorm)
        if self._forward_hooks or type(gated) is not GatedLayer or type(norms[0]) is not RMSNorm:
            return None
        query_key_value, output = attention.as_products()
        gate_up, down = gated.as_products()
        if query_key_value is None or output is None or gate_up is None or down is None:
            return None
        return Weights(
            attention_norm=norms[0].weight,
            query_key_value=query_key_value,
            kernel=attention.kernel,
            heads=attention.heads,
            output=output,
            gated_norm=norms[1].weight,
            gate_up=gate_up,
            down=down,
            steady=all(type(part) is nn.Linear for each in (attention, gated) for part in each.products()),
        )


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
        if state is not None and hidden.shape[1] == 1 and is_plain(hidden):
            blocks = state.blocks or self._plain_blocks()
            if blocks:
                state.blocks = blocks if all(block.steady for block in blocks) else ()
                hidden = stepped(hidden[:, 0], blocks, common)
                state.advance(1)
                return unit(hidden, self.norm.weight).unsqueeze(1)
        hidden = self.place(hidden, positions)
        last = len(self.layers) - 1
        for layer, block in enumerate(self.layers):
            hidden = self.through(block, hidden, common, since if layer == last else 0)
        if state is not None:
            state.advance(positions.shape[1])
        return self.norm(hidden)

    def _plain_blocks(self) -> tuple[Weights, ...]:
        """Return what the blocks multiply by; nothing where a step has to go through them one by one."""
        found: list[Weights] = []
        for block in self.layers:
            weights = cast(Block, block).weights()
            if weights is None:
                return ()
            found.append(weights)
        return tuple(found)

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
