"""What all blocks of a pass have in common."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from valle.models.arch.attention import Mask
from valle.models.arch.observer import Observer
from valle.models.arch.reading import Reading
from valle.models.arch.rotary import Rotation


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

    def read(
        self, layer: int, query: Tensor, key: Tensor, value: Tensor, mask: Mask, gathered: Tensor
    ) -> Tensor:
        """Return what the heads of a layer gathered, [R, H, Tq, d], the first one as it reads forward."""
        if self.reading is None or not self.reading.reads(layer):
            return gathered
        seen = mask.keep[:, 0] if mask.keep is not None else None
        seen = mask.dense(query, key) if mask.causal else seen
        first = self.reading.gather(layer, query[:, 0], key[:, 0], value[:, 0], seen)
        return torch.cat([first.unsqueeze(1), gathered[:, 1:]], 1)
