"""Backbones of state spaces: transformers' mixers in our blocks, with our state; no Triton needed.

As in the paper on Mamba, section 3.4, a layer of such a backbone is two blocks, which have about as many
weights as attention and a feed-forward layer. A block reads from left to right only.
"""

from __future__ import annotations

import logging

import torch
from torch import Tensor, nn

from valle.errors import UserError
from valle.models.arch.attention import Mask
from valle.models.arch.backbone import Backbone
from valle.models.arch.llama import RMSNorm
from valle.models.arch.observer import Observer
from valle.models.arch.recurrent import RecurrentState, present_keys
from valle.models.config import ModelConfig

_BLOCKS_PER_LAYER = 2
KERNEL = 4


class Memory:
    """What a mixer of transformers asks of its cache, for one block and one pass.

    convolution [R, C, kernel - 1] and held [R, ...] are views into the state, which the mixer writes to.
    """

    def __init__(self, convolution: Tensor, held: Tensor, begun: bool) -> None:
        self._convolution, self._held, self._begun = convolution, held, begun

    def get_conv_state(self, layer_idx: int, state_idx: int = 0) -> Tensor | None:
        """The last inputs of the convolution, once there are any."""
        return self._convolution if self._begun else None

    def get_recurrent_state(self, layer_idx: int, state_idx: int = 0) -> Tensor | None:
        """The state, once there is any."""
        return self._held if self._begun else None

    def is_recording_past(self, layer_idx: int) -> bool:
        """Nothing is recorded here: going back is the state's own matter."""
        return False

    def update_conv_state(self, inputs: Tensor, layer_idx: int, conv_kernel_size: int) -> Tensor:
        """Take the inputs [R, C, T] of a beginning in; return them."""
        kept = conv_kernel_size - 1
        padded = nn.functional.pad(inputs, (max(0, kept - inputs.shape[-1]), 0))
        self._convolution.copy_(padded[..., -kept:])
        return inputs

    def update_recurrent_state(self, held: Tensor, layer_idx: int) -> Tensor:
        """Take the state after a beginning in."""
        self._held.copy_(held)
        return self._held


class Block(nn.Module):
    """A mixer on the normalised stream, added to it."""

    def __init__(self, mixer: nn.Module, dim: int) -> None:
        super().__init__()
        self.norm = RMSNorm(dim)
        self.mixer = mixer

    def forward(self, hidden: Tensor, memory: Memory | None, present: Tensor | None) -> Tensor:
        """Return the stream [R, T, D] after the block; `present` [R, T] is False on padding in front."""
        return hidden + self.mixer(self.norm(hidden), cache_params=memory, attention_mask=present)


class StateSpaces(Backbone):
    """The stack of blocks and the final norm, for any mixer of transformers' with a state."""

    attends = False

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        # It would say for each of its functions that there is a faster one for some devices.
        logging.getLogger("transformers.integrations.hub_kernels").setLevel(logging.ERROR)
        if "nar" in config.capabilities:
            raise UserError(
                f"model config: {config.architecture} reads from left to right only, so there is level 0 and "
                "no NAR; leave nar out of capabilities"
            )
        count = _BLOCKS_PER_LAYER * config.layers
        self.layers = nn.ModuleList(Block(mixer, config.dim) for mixer in self.mixers(config, count))
        self.norm = RMSNorm(config.dim)
        self._name = config.architecture

    def mixers(self, config: ModelConfig, count: int) -> list[nn.Module]:
        """Return fresh mixers."""
        raise TypeError(f"{type(self).__name__} has no mixer")

    def shapes(self) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """Return the shapes of what one block keeps of one row: of the convolution, and the state."""
        raise TypeError(f"{type(self).__name__} has no state")

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
        """Run embeddings [R, T, D] through all blocks; the order of the rows is their position.

        Raises UserError for rows that are to look ahead, and ValueError for several positions after the
        first ones.
        """
        given, length = hidden, hidden.shape[1]
        if length > 1 and not mask.causal:
            self._require_causal(mask)
        if state is not None and state.length and length > 1:
            raise ValueError("after the first positions they come one at a time")
        present = present_keys(mask.keep) if length > 1 else None
        for place, block in enumerate(self.layers):
            memory = None
            if state is not None:
                convolution, held = (tensor[:, place] for tensor in state.tensors)
                memory = Memory(convolution, held, begun=state.length > 0)
            hidden = self.through(block, hidden, memory, present)
        if state is not None:
            state.advance(given, positions)
        return self.norm(hidden[:, since:])

    def allocate(self, rows: int, capacity: int) -> RecurrentState:
        """Return an empty state; `capacity` is for the inputs that are kept to go back to."""
        like = self.norm.weight
        held = [
            torch.zeros(rows, len(self.layers), *shape, dtype=torch.float32, device=like.device)
            for shape in self.shapes()
        ]
        return RecurrentState.allocate(held, capacity, like, self._again)

    def _again(self, hidden: Tensor, positions: Tensor, state: RecurrentState) -> None:
        self(hidden, positions, 0, Mask(), state)

    def _require_causal(self, mask: Mask) -> None:
        if mask.keep is None or mask.keep.triu(1).any():
            raise UserError(
                f"{self._name} reads from left to right only: it makes level 0 step by step, and no NAR pass"
            )
