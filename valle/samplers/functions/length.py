"""Stages about the length: they make the end of a phase more or less likely."""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor

from valle.samplers.functions.common import NEVER, Parameters, ids_of, log_of
from valle.samplers.rows import Rows

STEEPEST = 80.0
"""Where the logarithm of a growing factor ends: e^80 is still a float32."""


def length_penalty(logits: Tensor, rows: Rows, parameters: Parameters, states: None) -> Tensor:
    """Divides positive logits of the stop token by length^penalty and multiplies negative ones.

    The length is the number of steps decided, 1 at least. ``ids`` are penalised instead of the stop token
    where there are any.
    """
    wanted = parameters["ids"] or (() if rows.stop is None else (rows.stop,))
    ids = ids_of((item for item in wanted if item < logits.shape[-1]), logits.device)
    if len(ids) == 0:
        return logits
    length = _steps(rows, logits.device).clamp_min(1.0)
    divisor = (length.log() * parameters["penalty"]).clamp(-STEEPEST, STEEPEST).exp()
    chosen = logits[:, ids].float()
    result = logits.clone()
    result[:, ids] = _finite(torch.where(chosen > 0, chosen / divisor, chosen * divisor), logits.dtype)
    return result


def exponential_decay_length(logits: Tensor, rows: Rows, parameters: Parameters, states: None) -> Tensor:
    """Raises the stop token by |logit| x (factor^n - 1), n steps after ``start`` (transformers)."""
    if rows.stop is None or rows.stop >= logits.shape[-1]:
        return logits
    over = (_steps(rows, logits.device) - parameters["start"]).clamp_min(0.0)
    if not bool(over.any()):
        return logits
    factor = parameters["factor"]
    growth = factor.log() if isinstance(factor, Tensor) else math.log(factor)
    stop = logits[:, rows.stop : rows.stop + 1].float()
    raised = stop + stop.abs() * torch.expm1((over * growth).clamp_max(STEEPEST))
    result = logits.clone()
    result[:, rows.stop : rows.stop + 1] = _finite(torch.where(stop == NEVER, stop, raised), logits.dtype)
    return result


def stop_gate(logits: Tensor, rows: Rows, parameters: Parameters, states: None) -> Tensor:
    """Forbids the stop token where it is not the most likely id, or less likely than ``probability``."""
    if rows.stop is None or rows.stop >= logits.shape[-1]:
        return logits
    all_logits = logits.float()
    stop = all_logits[:, rows.stop : rows.stop + 1]
    shut = stop - all_logits.logsumexp(-1, keepdim=True) < log_of(parameters["probability"])
    if parameters["argmax"]:
        shut |= logits.argmax(-1, keepdim=True) != rows.stop
    if not bool(shut.any()):
        return logits
    result = logits.clone()
    result[:, rows.stop : rows.stop + 1].masked_fill_(shut, NEVER)
    return result


def _steps(rows: Rows, device: torch.device) -> Tensor:
    """The number of steps decided, [R, 1]."""
    return torch.from_numpy(rows.step.astype(np.float32)).to(device)[:, None]


def _finite(values: Tensor, dtype: torch.dtype) -> Tensor:
    """The values in another type, held to the greatest that it has; -inf stays."""
    greatest = torch.finfo(dtype).max
    return torch.where(values == NEVER, values, values.clamp(-greatest, greatest)).to(dtype)
