"""Stages about the length: they make the end of a phase more or less likely."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from valle.samplers.functions.common import NEVER, Parameters, ids_of, log_of, of_rows
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
    growth = np.log(np.maximum(rows.step, 1)) * of_rows(parameters["penalty"])
    divisor = _column(np.exp(np.clip(growth, -STEEPEST, STEEPEST)), logits)
    chosen = logits.index_select(1, ids).float()
    penalised = torch.where(chosen > 0, chosen / divisor, chosen * divisor)
    return logits.index_copy(1, ids, _held(penalised, logits.dtype))


def exponential_decay_length(logits: Tensor, rows: Rows, parameters: Parameters, states: None) -> Tensor:
    """Raises the stop token by |logit| x (factor^n - 1), n steps after ``start`` (transformers)."""
    if rows.stop is None or rows.stop >= logits.shape[-1]:
        return logits
    over = np.maximum(rows.step - of_rows(parameters["start"]), 0)
    if not over.any():
        return logits
    growth = np.expm1(np.minimum(over * of_rows(log_of(parameters["factor"])), STEEPEST))
    stop = logits[:, rows.stop : rows.stop + 1].float()
    raised = torch.addcmul(stop, stop.abs().nan_to_num(posinf=0.0), _column(growth, logits))
    return logits.slice_scatter(_held(raised, logits.dtype), 1, rows.stop, rows.stop + 1)


def stop_gate(logits: Tensor, rows: Rows, parameters: Parameters, states: None) -> Tensor:
    """Forbids the stop token where it is not the most likely id, or less likely than ``probability``."""
    if rows.stop is None or rows.stop >= logits.shape[-1]:
        return logits
    shut = torch.zeros(len(logits), 1, dtype=torch.bool, device=logits.device)
    if parameters["argmax"]:
        shut = logits.argmax(-1, keepdim=True) != rows.stop
    if isinstance(parameters["probability"], Tensor) or parameters["probability"] > 0:
        log_probability = logits.float().log_softmax(-1)[:, rows.stop : rows.stop + 1]
        shut = shut | (log_probability < log_of(parameters["probability"]))
    if not bool(shut.any()):
        return logits
    gated = torch.where(shut, NEVER, logits[:, rows.stop : rows.stop + 1])
    return logits.slice_scatter(gated, 1, rows.stop, rows.stop + 1)


def _column(values: NDArray[np.float64], logits: Tensor) -> Tensor:
    """One number for each row, [R, 1], in float32."""
    return torch.from_numpy(values[:, None].astype(np.float32)).to(logits.device)


def _held(values: Tensor, dtype: torch.dtype) -> Tensor:
    """The values in another type, held to the greatest that it has."""
    return values.clamp_max(torch.finfo(dtype).max).to(dtype)
