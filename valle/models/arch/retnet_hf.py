"""RetNet behind the interface of a transformers model: its config, saving, loading and forward call."""

from __future__ import annotations

from typing import Any, cast

import torch
from torch import Tensor
from transformers import PretrainedConfig, PreTrainedModel
from transformers.modeling_outputs import BaseModelOutputWithPast

from valle.models.arch.attention import Mask
from valle.models.arch.backbone import Backbone
from valle.models.arch.bitnet import use_bit_linear
from valle.models.arch.observer import Observer
from valle.models.arch.recurrent import RecurrentState
from valle.models.arch.retnet import RetNet
from valle.models.config import ModelConfig


class RetNetConfig(PretrainedConfig):  # type: ignore[misc]
    """Sizes under the names that transformers' models have."""

    model_type = "valle-retnet"

    hidden_size: int = 64
    intermediate_size: int = 256
    num_hidden_layers: int = 2
    num_attention_heads: int = 2
    num_local_experts: int = 1
    ternary: bool = False
    """Whether the linear layers are those of BitNet."""
    max_position_embeddings: int = 2048
    """Positions that a state made by `use_cache` has room for."""

    def sizes(self) -> ModelConfig:
        """The same as a config of this project."""
        return ModelConfig(
            dim=self.hidden_size,
            layers=self.num_hidden_layers,
            heads=self.num_attention_heads,
            ffn=self.intermediate_size,
            architecture="retnet",
            experts=self.num_local_experts,
        )


class RetNetModel(PreTrainedModel):  # type: ignore[misc]
    """Embeddings in, hidden states out; saved and loaded by `save_pretrained` and `from_pretrained`."""

    config_class = RetNetConfig
    base_model_prefix = "retnet"

    def __init__(self, config: RetNetConfig) -> None:
        super().__init__(config)
        self.retnet = RetNet(config.sizes())
        if config.ternary:
            use_bit_linear(self.retnet)
        self.post_init()

    def _init_weights(self, module: torch.nn.Module) -> None:
        """Leave the weights as they were made."""

    def forward(
        self,
        inputs_embeds: Tensor,
        attention_mask: Tensor | None = None,
        position_ids: Tensor | None = None,
        past_key_values: RecurrentState | None = None,
        use_cache: bool = False,
    ) -> BaseModelOutputWithPast:
        """Run embeddings [R, T, D], causally without a mask [R, 1, T, T] that says otherwise.

        With `use_cache` the answer has the state, which the next call takes as `past_key_values`.
        """
        rows, length, _ = inputs_embeds.shape
        state = past_key_values
        if state is None and use_cache:
            state = self.retnet.allocate(rows, self.config.max_position_embeddings)
        if position_ids is None:
            first = 0 if state is None else state.length
            position_ids = torch.arange(first, first + length, device=inputs_embeds.device).expand(rows, -1)
        mask = Mask(causal=True) if attention_mask is None else Mask(keep=attention_mask)
        limit = int(position_ids.max()) + 1
        hidden = self.retnet(inputs_embeds, position_ids, limit, mask, state)
        return BaseModelOutputWithPast(last_hidden_state=hidden, past_key_values=cast(Any, state))


class RetNetHF(Backbone):
    """The transformers model as a backbone; `model` may be saved and loaded as any of theirs."""

    attends = False

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        sizes = RetNetConfig(
            hidden_size=config.dim,
            intermediate_size=config.ffn,
            num_hidden_layers=config.layers,
            num_attention_heads=config.heads,
            num_local_experts=config.experts,
            ternary=config.bitnet,
        )
        self.model = RetNetModel(sizes)

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
        """Run embeddings [R, T, D] at positions [R, T] through the model."""
        self.model.retnet.checkpointing = self.checkpointing
        answer = self.model(hidden, _as_theirs(mask, hidden), positions, state)
        return cast(Tensor, answer.last_hidden_state)[:, since:]

    def allocate(self, rows: int, capacity: int) -> RecurrentState:
        """Return an empty state; `capacity` is for the inputs that are kept to go back to."""
        return self.model.retnet.allocate(rows, capacity)

    def auxiliary_loss(self) -> Tensor | None:
        """Return the routers' loss of the last pass in training, where there are experts."""
        return self.model.retnet.auxiliary_loss()


def _as_theirs(mask: Mask, hidden: Tensor) -> Tensor | None:
    """The mask as transformers has it: none is causal, and a full pass says so."""
    if mask.causal or mask.keep is not None:
        return mask.keep
    length = hidden.shape[1]
    return torch.ones(len(hidden), 1, length, length, dtype=torch.bool, device=hidden.device)
