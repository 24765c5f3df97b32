"""The one interface of all backbones."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from valle.models.arch.cache import State


class Backbone(nn.Module):
    """Runs embeddings [R, T, D] through its blocks and a final norm; keeps a state between steps.

    A backbone is called with the embeddings, their positions [R, T], a `limit` that all positions are below,
    a mask, and if wanted a state of `allocate`, an observer, and the first position `since` which its answer
    is wanted; it returns [R, T - since, D].
    """

    attends: ClassVar[bool] = True
    """Whether an observer is shown queries and keys."""

    def __init__(self) -> None:
        super().__init__()
        self.checkpointing = False
        """Whether blocks are run a second time for their gradients, instead of keeping all in between."""

    def allocate(self, rows: int, capacity: int) -> State:
        """Return an empty state of `rows` rows for `capacity` positions."""
        raise TypeError(f"{type(self).__name__} allocates no state")

    def auxiliary_loss(self) -> Tensor | None:
        """Return what the last pass in training adds to the loss by itself, or None."""
        return None

    def through(self, block: Callable[..., Tensor], *inputs: Any) -> Tensor:
        """Run a block, its inside forgotten until the backward pass if there is to be checkpointing."""
        if self.checkpointing and torch.is_grad_enabled():
            return checkpoint(block, *inputs, use_reentrant=False)
        return block(*inputs)


def present(hidden: Tensor) -> Tensor:
    """Return which of the embeddings [R, T, D] are no padding, [R, T]: those of padding are nought."""
    return hidden.detach().ne(0).any(-1)
