"""Rotary position embedding, half rotation, in float32 (RoFormer, arXiv 2104.09864, as in Llama)."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

_THETA = 10_000.0
_SMALLEST_TABLE = 2048


@dataclass(frozen=True, eq=False)
class Rotation:
    """Cosines and sines [R, 1, T, d]; the first half of the sines has its sign turned."""

    cosines: Tensor
    sines: Tensor

    def apply(self, heads: Tensor) -> Tensor:
        """Rotate heads [R, H, T, d], in float32; the dtype is kept."""
        wide = heads.float()
        swapped = wide.roll(wide.shape[-1] // 2, -1)
        return torch.addcmul(wide * self.cosines, swapped, self.sines).to(heads.dtype)


class Rotary:
    """The table of one head size, made once per device and made longer when a position asks for it."""

    def __init__(self, head_dim: int) -> None:
        self._head_dim = head_dim
        self._tables: dict[torch.device, Tensor] = {}

    def at(self, positions: Tensor, limit: int) -> Rotation:
        """Return the rotation at positions [R, T], all of them below `limit`."""
        turned = functional.embedding(positions, self._up_to(limit, positions.device)).unsqueeze(1)
        return Rotation(*turned.chunk(2, -1))

    def _up_to(self, limit: int, device: torch.device) -> Tensor:
        table = self._tables.get(device)
        if table is None or len(table) < limit:
            size = max(_SMALLEST_TABLE, 1 << (limit - 1).bit_length())
            with torch.inference_mode(False):  # else training could not use a table that inference made
                table = self._tables[device] = self._make(size, device)
        return table

    def _make(self, size: int, device: torch.device) -> Tensor:
        """Cosines and sines side by side, [size, 2 d]."""
        exponents = torch.arange(0, self._head_dim, 2, dtype=torch.float32) / self._head_dim
        angles = torch.outer(torch.arange(size, dtype=torch.float32), 1.0 / _THETA**exponents)
        cosines, sines = angles.cos(), angles.sin()
        return torch.cat([cosines, cosines, -sines, sines], -1).to(device)
