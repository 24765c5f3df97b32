"""Mamba 2 (Dao and Gu, arXiv 2405.21060): transformers' mixer, one decay a head, computed chunk by chunk."""

from __future__ import annotations

from typing import Any

from torch import nn
from transformers import Mamba2Config
from transformers.models.mamba2.modeling_mamba2 import Mamba2Mixer

from valle.models.arch.state_spaces import KERNEL, StateSpaces
from valle.models.config import ModelConfig

_STATE_SIZE = 64
_CHUNK = 64
_WIDER = 2
_EPSILON = 1e-6


class Mamba2(StateSpaces):
    """Blocks of transformers' Mamba2Mixer."""

    def mixers(self, config: ModelConfig, count: int) -> list[nn.Module]:
        """Return fresh mixers, twice as wide inside as the stream, with as many heads as the config says."""
        sizes = Mamba2Config(
            hidden_size=config.dim,
            num_heads=config.heads,
            head_dim=_WIDER * config.head_dim,
            expand=_WIDER,
            n_groups=1,
            state_size=_STATE_SIZE,
            chunk_size=_CHUNK,
            conv_kernel=KERNEL,
            num_hidden_layers=count,
            layer_norm_epsilon=_EPSILON,
        )
        return [Mamba2Mixer(sizes, index) for index in range(count)]

    def shapes(self) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """Return [C, kernel - 1] and [H, head size, state]."""
        mixer: Any = self.layers[0].mixer
        return (mixer.conv_dim, KERNEL - 1), (mixer.num_heads, mixer.head_dim, _STATE_SIZE)
