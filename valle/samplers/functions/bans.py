"""Bans, the range of a phase, minimum length, biases."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from valle.samplers.functions.common import NEVER, Parameters, ids_of
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
    biases = {token: bias for token, bias in parameters["biases"].items() if token < logits.shape[-1]}
    if not biases:
        return logits
    added = torch.tensor(list(biases.values()), dtype=logits.dtype, device=logits.device)
    return logits.index_add(-1, ids_of(biases, logits.device), added.expand(len(logits), -1))


def minimum_length(logits: Tensor, rows: Rows, parameters: Parameters, states: None) -> Tensor:
    """Forbids the stop token where fewer than ``steps`` steps are decided."""
    if rows.stop is None or rows.stop >= logits.shape[-1]:
        return logits
    early = early_rows(rows, parameters["steps"])
    if not early.any():
        return logits
    result = logits.clone()
    if early.all():
        result[:, rows.stop] = NEVER
    else:
        result[torch.from_numpy(np.flatnonzero(early)).to(logits.device), rows.stop] = NEVER
    return result


def early_rows(rows: Rows, steps: float | Tensor) -> NDArray[np.bool_]:
    """Which rows [R] have decided fewer than so many steps."""
    return rows.step < (steps[:, 0].cpu().numpy() if isinstance(steps, Tensor) else steps)
