"""The attention backend of a layer, exchangeable while the model stays loaded."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from valle.models.arch.attention.mask import Mask
from valle.models.arch.attention.registry import AUTO, find


class Kernel(nn.Module):
    """Computes softmax(q k^T / sqrt(d)) v by the backend that was chosen last; has no weights."""

    def __init__(self, name: str = AUTO) -> None:
        """Raises UserError for a backend that does not exist."""
        super().__init__()
        self.use(name)

    def use(self, name: str) -> None:
        """Compute by this backend from now on. Raises UserError for one that does not exist."""
        self.attend = find(name)
        self.name = name

    def forward(self, query: Tensor, key: Tensor, value: Tensor, mask: Mask) -> Tensor:
        """Answer query [R, H, Tq, d] from key and value [R, H, Tk, d]."""
        if query.device.type == "cpu" and torch.is_autocast_enabled("cpu"):
            # The backward pass of bfloat16 attention is slow on the CPU.
            with torch.autocast("cpu", enabled=False):
                return self.attend(query.float(), key.float(), value.float(), mask)
        return self.attend(query, key, value, mask)


def use_attention(model: nn.Module, name: str) -> None:
    """Have all layers of a model compute attention by a backend; see `Kernel.use`."""
    for module in model.modules():
        if isinstance(module, Kernel):
            module.use(name)
