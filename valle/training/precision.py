"""Which precision a training computes in: bfloat16 where the hardware has it, float32 elsewhere.

Where a processor lacks bfloat16, its products are emulated: on one with AVX2 alone they were measured to be
sixty times slower than those in float32.
"""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Literal

import torch

Precision = Literal["auto", "bfloat16", "float32"]


def has_bfloat16(device: str) -> bool:
    """Whether products in bfloat16 are fast on a kind of device, `cpu` or `cuda`."""
    if device == "cpu":
        return bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())
    return device == "cuda" and torch.cuda.is_bf16_supported(including_emulation=False)


def fast_dtype(device: str) -> torch.dtype:
    """The dtype in which a kind of device is fast and rough: bfloat16 or float32."""
    return torch.bfloat16 if has_bfloat16(device) else torch.float32


def mixed(device: str, precision: Precision = "auto") -> AbstractContextManager[None]:
    """Mixed precision in bfloat16, if `precision` says so or is `auto` and the device is fast in it."""
    half = has_bfloat16(device) if precision == "auto" else precision == "bfloat16"
    return torch.autocast(device, torch.bfloat16, enabled=half)
