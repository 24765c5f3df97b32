"""Bans, the range of a phase, minimum length, biases."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from valle.samplers.functions.common import NEVER, Parameters, ids_of, of_rows
from valle.samplers.rows import Rows


def ban_tokens(logits: Tensor, rows: Rows, parameters: Parameters, states: None) -> Tensor:
    """Forbids ids; those that the head does not have are ignored."""
    ids = [token for token in parameters["ids"] if token < logits.shape[-1]]
    return logits.index_fill(-1, ids_of(ids, logits.device), NEVER) if ids else logits


def allowed_range(logits: Tensor, rows: Rows, parameters: Parameters, states: None) -> Tensor:
    """Forbids every id below ``first`` or above ``last``, save those in ``also``."""
    width = logits.shape[-1]
    result = torch.full_like(logits, NEVER)
    inside = slice(parameters["first"], parameters["last"] + 1)
    result[:, inside] = logits[:, inside]
    also = [token for token in parameters["also"] if token < width]
    if also:
        result[:, also] = logits[:, also]
    return result


def logit_bias(logits: Tensor, rows: Rows, parameters: Parameters, states: None) -> Tensor:
    """Adds a number to the logits of single ids; those that the head does not have are ignored."""
    return logits + _biases(
        tuple(parameters["biases"].items()), logits.shape[-1], logits.dtype, logits.device
    )


@lru_cache(maxsize=64)
def _biases(
    biases: tuple[tuple[int, float], ...], width: int, dtype: torch.dtype, device: torch.device
) -> Tensor:
    """What is added to each id, [V]."""
    added = torch.zeros(width, dtype=dtype)
    for token, bias in biases:
        if token < width:
            added[token] = bias
    return added.to(device)


def minimum_length(logits: Tensor, rows: Rows, parameters: Parameters, states: None) -> Tensor:
    """Forbids the stop token where fewer than ``steps`` steps are decided."""
    if rows.stop is None or rows.stop >= logits.shape[-1]:
        return logits
    early = early_rows(rows, parameters["steps"])
    if not early.any():
        return logits
    shut = torch.from_numpy(early).to(logits.device)[:, None]
    gated = torch.where(shut, NEVER, logits[:, rows.stop : rows.stop + 1])
    return logits.slice_scatter(gated, 1, rows.stop, rows.stop + 1)


def early_rows(rows: Rows, steps: float | Tensor) -> NDArray[np.bool_]:
    """Which rows [R] have decided fewer than so many steps."""
    return np.asarray(rows.step < of_rows(steps))
