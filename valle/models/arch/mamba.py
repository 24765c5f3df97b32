"""Mamba (Gu and Dao, arXiv 2312.00752): the weights of transformers' mixer, and a scan that trains on a CPU.

Theirs takes the positions out of one tensor one by one, and the gradient of each is as large as all of them.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from transformers import MambaConfig
from transformers.models.mamba.modeling_mamba import MambaMixer

from valle.models.arch.state_spaces import KERNEL, Memory, StateSpaces
from valle.models.config import ModelConfig

_STATE_SIZE = 16


class _Scan(torch.autograd.Function):
    """states[t] = decay[t] * states[t - 1] + added[t], position by position, all [R, T, C, N]."""

    @staticmethod
    def forward(context: Any, decay: Tensor, added: Tensor, first: Tensor) -> Tensor:
        states = torch.empty_like(added)
        last = first
        for place in range(added.shape[1]):
            last = torch.addcmul(added[:, place], decay[:, place], last, out=states[:, place])
        context.save_for_backward(decay, states, first)
        return states

    @staticmethod
    def backward(context: Any, *gradients: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        decay, states, first = context.saved_tensors
        (gradient,) = gradients
        added = torch.empty_like(states)
        added[:, -1] = gradient[:, -1]
        for place in range(states.shape[1] - 2, -1, -1):
            later = decay[:, place + 1], added[:, place + 1]
            torch.addcmul(gradient[:, place], *later, out=added[:, place])
        before = torch.cat([first.unsqueeze(1), states[:, :-1]], 1)
        return added * before, added, added[:, 0] * decay[:, 0]


def scan(decay: Tensor, added: Tensor, first: Tensor) -> Tensor:
    """Return the states [R, T, C, N] that decay by `decay` and grow by `added`, after `first` [R, C, N]."""
    states: Tensor = _Scan.apply(decay, added, first)  # type: ignore[no-untyped-call]
    return states


class Mixer(MambaMixer):  # type: ignore[misc]
    """The mixer with our scan; any number of positions may follow what the memory holds."""

    def forward(
        self, hidden: Tensor, cache_params: Memory | None = None, attention_mask: Tensor | None = None
    ) -> Tensor:
        """Return the mixer's answer to hidden [R, T, D]; the mask [R, T] is False on padding in front."""
        if attention_mask is not None:
            hidden = hidden * attention_mask.unsqueeze(-1)
        inputs, gate = self.in_proj(hidden).transpose(1, 2).chunk(2, 1)
        with torch.autocast(hidden.device.type, enabled=False):
            mixed = self._convolve(inputs.float(), cache_params)
            if attention_mask is not None:
                mixed = mixed * attention_mask.unsqueeze(-1)
            answer = self._select(mixed, cache_params)
        return self.out_proj((answer * functional.silu(gate.transpose(1, 2).float())).to(hidden.dtype))

    def _convolve(self, inputs: Tensor, memory: Memory | None) -> Tensor:
        """Mix each channel with what was before; inputs [R, C, T] give [R, T, C]."""
        before = None if memory is None else memory.get_conv_state(self.layer_idx)
        if before is None:
            before = inputs.new_zeros(*inputs.shape[:2], KERNEL - 1)
        joined = torch.cat([before, inputs], -1)
        if memory is not None:
            memory.update_conv_state(joined, self.layer_idx, KERNEL)
        weight, bias = self.conv1d.weight.float(), self.conv1d.bias.float()
        return functional.silu(functional.conv1d(joined, weight, bias, groups=len(weight))).transpose(1, 2)

    def _select(self, mixed: Tensor, memory: Memory | None) -> Tensor:
        """Take mixed [R, T, C] into the state, each position as much as it says itself; returns [R, T, C]."""
        parts = functional.linear(mixed, self.x_proj.weight.float())
        step, key, query = parts.split([self.time_step_rank, _STATE_SIZE, _STATE_SIZE], -1)
        linear = functional.linear(step, self.dt_proj.weight.float(), self.dt_proj.bias.float())
        delta = functional.softplus(linear)
        decay = torch.exp(delta.unsqueeze(-1) * -torch.exp(self.A_log.float()))
        added = (delta * mixed).unsqueeze(-1) * key.unsqueeze(2)
        first = None if memory is None else memory.get_recurrent_state(self.layer_idx)
        states = scan(decay, added, torch.zeros_like(added[:, 0]) if first is None else first)
        if memory is not None:
            memory.update_recurrent_state(states[:, -1], self.layer_idx)
        return (states @ query.unsqueeze(-1)).squeeze(-1) + mixed * self.D.float()


class Mamba(StateSpaces):
    """Blocks of the mixer, twice as wide inside as the stream."""

    def mixers(self, config: ModelConfig, count: int) -> list[nn.Module]:
        """Return fresh mixers."""
        sizes = MambaConfig(
            hidden_size=config.dim, state_size=_STATE_SIZE, num_hidden_layers=count, conv_kernel=KERNEL
        )
        return [Mixer(sizes, index) for index in range(count)]

    def shapes(self) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """Return [C, kernel - 1] and [C, state]."""
        mixer: Any = self.layers[0].mixer
        return (mixer.intermediate_size, KERNEL - 1), (mixer.intermediate_size, _STATE_SIZE)
