"""What a model is computed with: the device, the dtype, the threads and the attention that are asked for."""

from __future__ import annotations

import os
import re

from valle.errors import UserError
from valle.request import Recipe


def recipe_of(device: str, dtype: str, threads: int | None, attention: str) -> Recipe:
    """The recipe of what is asked for, `auto` made plain. Raises UserError for what is not there."""
    import torch

    from valle.models.arch.attention import resolve

    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    _require_device(device, torch.cuda.device_count() if torch.cuda.is_available() else 0)
    if dtype == "auto":
        dtype = "float32" if device == "cpu" else "bfloat16"
    if dtype not in ("float32", "bfloat16", "float16"):
        raise UserError(f"The dtype {dtype!r} is not known; use float32, bfloat16 or float16.")
    count = threads or torch.get_num_threads() or os.cpu_count() or 1
    attention = resolve(attention, device, dtype)
    return Recipe(device=device, dtype=dtype, threads=count, attention=attention)


def _require_device(device: str, cards: int) -> None:
    """Refuse a device that is not there, of so many CUDA devices."""
    named = re.fullmatch(r"cpu|cuda(?::(\d+))?", device)
    if named is None:
        raise UserError(f"The device {device!r} is not known; use auto, cpu, cuda or cuda:N.")
    if device != "cpu" and int(named[1] or 0) >= cards:
        seen = f"only {cards}" if cards else "no"
        devices = "CUDA devices" if cards > 1 else "CUDA device"
        raise UserError(
            f"The device {device} is not there: this torch sees {seen} {devices}; use cpu or auto."
        )
