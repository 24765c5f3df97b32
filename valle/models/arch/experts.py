"""A mixture of experts in the place of a gated layer: transformers' Mixtral block (arXiv 2401.04088)."""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor, nn
from transformers import MixtralConfig
from transformers.models.mixtral.modeling_mixtral import MixtralSparseMoeBlock, load_balancing_loss_func

from valle.errors import UserError
from valle.models.config import ModelConfig

_CHOSEN = 2
_SPREAD = 0.02


class Mixture(nn.Module):
    """Experts of which each position is sent to two, their answers being mixed as the router says."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        block = MixtralSparseMoeBlock(
            MixtralConfig(
                hidden_size=config.dim,
                intermediate_size=config.ffn,
                num_local_experts=config.experts,
                num_experts_per_tok=_CHOSEN,
                hidden_act="gelu",
                num_hidden_layers=config.layers,
                experts_implementation="eager",
            )
        )
        self.gate, self.experts = block.gate, block.experts
        self.router_logits: Tensor | None = None
        """Those of the last pass in training, [R x T, experts]."""
        nn.init.normal_(self.gate.weight, 0.0, _SPREAD)
        bound = config.dim**-0.5
        nn.init.uniform_(self.experts.gate_up_proj, -bound, bound)
        nn.init.normal_(self.experts.down_proj, 0.0, _SPREAD / (2 * config.layers) ** 0.5)

    def forward(self, hidden: Tensor) -> Tensor:
        """Return the mixed answers to hidden [R, T, D]."""
        flat = hidden.flatten(0, -2)
        logits, weights, chosen = self.gate(flat)
        self.router_logits = logits if self.training and torch.is_grad_enabled() else None
        return self.experts(flat, chosen, weights.to(flat.dtype)).view_as(hidden)


def use_experts(layers: nn.ModuleList, config: ModelConfig) -> None:
    """Put a mixture in the place of each block's gated layer."""
    for block in layers:
        block.mlp = Mixture(config)


def router_loss(layers: nn.ModuleList, present: Tensor | None) -> Tensor | None:
    """Return how unevenly the experts of the last pass in training were used, at least 2: the two that each
    position has; None where there was no such pass. `present` [R, T] leaves padding out.

    Switch Transformer, arXiv 2101.03961, equations 4 to 6.
    """
    mixtures = [block.mlp for block in layers if isinstance(block.mlp, Mixture)]
    found = [mixture.router_logits for mixture in mixtures]
    if not found or any(logits is None for logits in found):
        return None
    logits = cast(list[Tensor], found)
    return cast(Tensor, load_balancing_loss_func(tuple(logits), logits[0].shape[-1], _CHOSEN, present))


def require_experts(config: ModelConfig) -> None:
    """Raise UserError where there are too few experts to choose from."""
    if config.experts < _CHOSEN:
        raise UserError(f"model config: {config.architecture} needs experts of {_CHOSEN} or more")
