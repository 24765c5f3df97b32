"""Bans, the range of a phase, minimum length."""

from __future__ import annotations

import torch
from torch import Tensor

from valle.samplers.functions.common import NEVER, Parameters
from valle.samplers.rows import Rows


def ban_tokens(logits: Tensor, rows: Rows, parameters: Parameters, states: None) -> Tensor:
    """Forbids ids; those that the head does not have are ignored."""
    ids = [token for token in parameters["ids"] if token < logits.shape[-1]]
    if not ids:
        return logits
    return logits.index_fill(-1, torch.tensor(ids, device=logits.device), NEVER)


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


def minimum_length(logits: Tensor, rows: Rows, parameters: Parameters, states: None) -> Tensor:
    """Forbids the stop token where fewer than ``steps`` steps are decided."""
    if rows.stop is None or rows.stop >= logits.shape[-1]:
        return logits
    early = torch.from_numpy(rows.step.copy()).to(logits.device)[:, None] < parameters["steps"]
    if not bool(early.any()):
        return logits
    result = logits.clone()
    result[:, rows.stop] = torch.where(early[:, 0], NEVER, logits[:, rows.stop])
    return result
