"""The two forms in which a layer takes an adapter in: its weight parametrised, or the layer replaced."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from valle.models.adapters.adapter import AdapterShape, Matrices


class LowRank(nn.Module):
    """The matrices of one layer and how strong they are; as a module it is the parametrization of a weight.

    Without gradients the changed weight is made once and kept as long as weight and strength stay. At
    strength 0 the weight is given back as it is.
    """

    def __init__(self, shape: AdapterShape, matrices: Matrices, like: Tensor) -> None:
        super().__init__()
        down, up = (each.to(like.device, torch.float32, copy=True) for each in matrices)
        self.lora_A, self.lora_B = nn.Parameter(down), nn.Parameter(up)
        self.scale, self.strength = shape.scale, 1.0
        self.dropout = nn.Dropout(shape.dropout)
        self._kept: tuple[Tensor, float, Tensor] | None = None

    @property
    def matrices(self) -> Matrices:
        """Both matrices as they are."""
        return Matrices(self.lora_A.detach(), self.lora_B.detach())

    def change(self, weight: Tensor) -> Tensor:
        """What is added to the weight, float32; in training with dropout on the down matrix."""
        product = Matrices(self.dropout(self.lora_A), self.lora_B).change(weight)
        return product * (self.scale * self.strength)

    def forward(self, weight: Tensor) -> Tensor:
        """Return the changed weight in the weight's own dtype."""
        if self.strength == 0:
            return weight
        if torch.is_grad_enabled():
            return (weight.float() + self.change(weight)).to(weight.dtype)
        if self._kept is None or self._kept[0] is not weight or self._kept[1] != self.strength:
            self._kept = weight, self.strength, (weight.float() + self.change(weight)).to(weight.dtype)
        return self._kept[2]

    def forget(self) -> None:
        """Make the changed weight again at its next use, as the matrices have become others."""
        self._kept = None


class LoRALinear(nn.Module):
    """A linear layer beside whose product another path goes through the matrices of adapters."""

    def __init__(self, base: nn.Linear) -> None:
        super().__init__()
        self.base = base
        self.paths = nn.ModuleList()

    @property
    def weight(self) -> Tensor:
        """The layer's own weight."""
        return self.base.weight

    @property
    def resting(self) -> nn.Linear | None:
        """The layer itself while no adapter acts."""
        acting = any(isinstance(path, LowRank) and path.strength != 0 for path in self.paths)
        return None if acting else self.base

    def forward(self, hidden: Tensor) -> Tensor:
        """Return the layer's answer to hidden [..., in], [..., out]."""
        answer: Tensor = self.base(hidden)
        for path in self.paths:
            assert isinstance(path, LowRank)
            if path.strength != 0:
                answer = answer + self._aside(path, hidden).to(answer.dtype)
        return answer

    def _aside(self, path: LowRank, hidden: Tensor) -> Tensor:
        down, up = path.lora_A, path.lora_B
        if down.shape[1] != self.base.in_features:  # the reference's own layout, which has no path of its own
            return functional.linear(hidden.float(), path.change(self.base.weight))
        narrow = functional.linear(path.dropout(hidden.float()), down)
        return functional.linear(narrow, up) * (path.scale * path.strength)
