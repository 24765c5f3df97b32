"""What a model is computed with: the device, the dtype, the threads and the attention that are asked for."""

from __future__ import annotations

import os

from valle.errors import UserError
from valle.request import Recipe


def recipe_of(device: str, dtype: str, threads: int | None, attention: str) -> Recipe:
    """The recipe of what is asked for, `auto` made plain. Raises UserError for what is not there."""
    import torch

    from valle.models.arch.attention import resolve

    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    if device.startswith("cuda") and not torch.cuda.is_available():
        raise UserError(f"The device {device} is not there: this torch sees no CUDA device; use cpu or auto.")
    if dtype == "auto":
        dtype = "float32" if device == "cpu" else "bfloat16"
    if dtype not in ("float32", "bfloat16", "float16"):
        raise UserError(f"The dtype {dtype!r} is not known; use float32, bfloat16 or float16.")
    count = threads or torch.get_num_threads() or os.cpu_count() or 1
    attention = resolve(attention, device, dtype)
    return Recipe(device=device, dtype=dtype, threads=count, attention=attention)
