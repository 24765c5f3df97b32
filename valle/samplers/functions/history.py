"""What the penalties know of a row's past."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from valle.samplers.rows import Rows


def latest(rows: Rows, window: int | Tensor, width: int, *, ordered: bool = True) -> Tensor | None:
    """The latest ids [R, W], newest first, or in any order; None where there is no past.

    ``window`` is the number of them, 0 for all, and may be a tensor [R, 1]. ``width`` stands where there is
    no id; the head has so many, so that it and what is above it stand for nothing.
    """
    if rows.past is None or rows.past_length is None or rows.past.shape[1] == 0:
        return None
    if not isinstance(window, Tensor):
        lengths = set(rows.past_length.tolist())
        if len(lengths) == 1:
            (end,) = lengths
            ids = rows.past[:, max(end - window, 0) if window else 0 : end]
            return (ids.flip(-1) if ordered else ids) if end else None
        return _padded(rows, window, width)[0]
    window = window.round()
    ids, index = _padded(rows, 0 if bool((window == 0).any()) else int(window.max()), width)
    return torch.where((index < window) | (window == 0), ids, width)


def _padded(rows: Rows, window: int, width: int) -> tuple[Tensor, Tensor]:
    """The latest ids [R, W], newest first, with ``width`` for none, and the index [W]."""
    recent = rows.recent(window)
    assert recent is not None
    ids, counts = recent
    return torch.where(counts, ids, width), torch.arange(ids.shape[1], device=ids.device)


def occurrences(ids: Tensor, width: int) -> Tensor:
    """How often each id is among ``ids`` [R, W], as float32 [R, V]."""
    table = torch.zeros(len(ids), width + 1, device=ids.device)
    return table.scatter_add_(1, ids.clamp_max(width), torch.ones_like(ids, dtype=table.dtype))[:, :width]


def change(logits: Tensor, ids: Tensor, new: Callable[[Tensor], Tensor]) -> Tensor:
    """The logits [R, V], with those of ``ids`` [R, W] made new, each once."""
    width = logits.shape[-1]
    if int(ids.max()) < width:
        return logits.scatter(-1, ids, new(logits.gather(-1, ids)).to(logits.dtype))
    padded = torch.nn.functional.pad(logits, (0, 1))
    ids = ids.clamp_max(width)
    return padded.scatter_(-1, ids, new(padded.gather(-1, ids)).to(logits.dtype))[:, :width]
