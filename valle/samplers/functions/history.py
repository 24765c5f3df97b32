"""What the penalties know of a row's past."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from valle.samplers.rows import Rows


def latest(rows: Rows, window: int | Tensor) -> tuple[Tensor, Tensor] | None:
    """The latest ids [R, W], newest first, and which of them count [R, W]; None where there is no past.

    ``window`` is the number of them, 0 for all, and may be a tensor [R, 1].
    """
    if not isinstance(window, Tensor):
        return rows.recent(window)
    window = window.round()
    recent = rows.recent(0 if bool((window == 0).any()) else int(window.max()))
    if recent is None:
        return None
    ids, counts = recent
    within = torch.arange(ids.shape[1], device=ids.device) < window
    return ids, counts & (within | (window == 0))


def known(ids: Tensor, counts: Tensor, width: int) -> Tensor:
    """The ids [R, W] that count and that the head has; ``width`` in the place of every other one."""
    return torch.where(counts & (ids < width), ids, width)


def occurrences(ids: Tensor, width: int) -> Tensor:
    """How often each id is among ``ids`` [R, W], as float32 [R, V]; the id ``width`` stands for nothing."""
    table = torch.zeros(len(ids), width + 1, device=ids.device)
    return table.scatter_add_(1, ids, torch.ones_like(ids, dtype=table.dtype))[:, :width]


def change(logits: Tensor, ids: Tensor, new: Callable[[Tensor], Tensor]) -> Tensor:
    """The logits [R, V], with those of ``ids`` [R, W] made new, each once; the id V stands for nothing."""
    width = logits.shape[-1]
    if bool((ids == width).any()):
        logits = torch.nn.functional.pad(logits, (0, 1))
    return logits.scatter(-1, ids, new(logits.gather(-1, ids)).to(logits.dtype))[:, :width]
