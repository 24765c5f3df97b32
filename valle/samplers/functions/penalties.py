"""Penalties on ids of the past."""

from __future__ import annotations

import torch
from torch import Tensor

from valle.samplers.functions.common import Parameters
from valle.samplers.functions.history import change, latest, occurrences
from valle.samplers.rows import Rows


def repetition_penalty(logits: Tensor, rows: Rows, parameters: Parameters, states: None) -> Tensor:
    """Divides positive logits of past ids by the penalty and multiplies negative ones.

    Keskar et al. 2019 only divide; the sign rule is that of transformers. With ``normalize`` the logits are
    log-softmaxed first, so that all are negative (arXiv 2607.09791).
    """
    if parameters["normalize"]:
        logits = logits.log_softmax(-1)
    width = logits.shape[-1]
    fades = isinstance(parameters["decay"], Tensor) or parameters["decay"] > 0
    ids = latest(rows, parameters["window"], width, ordered=fades)
    if ids is None:
        return logits
    if parameters["count"] == "id" and not fades:
        penalty: float | Tensor = parameters["penalty"]
        return change(logits, ids, lambda past: torch.where(past > 0, past / penalty, past * penalty))
    factor = _factors(ids.clamp_max(width), width, parameters).to(logits.dtype)
    return torch.where(logits > 0, logits / factor, logits * factor)


def _factors(ids: Tensor, width: int, parameters: Parameters) -> Tensor:
    """The penalty of each id [R, V], 1 where it is not in the past; the id V stands for nothing."""
    penalty, decay = parameters["penalty"], parameters["decay"]
    distance = torch.arange(1, ids.shape[1] + 1, device=ids.device, dtype=torch.float32).expand(ids.shape)
    table = torch.ones(ids.shape[0], width + 1, device=ids.device)
    if parameters["count"] == "occurrence":
        each = 1.0 + (penalty - 1.0) * distance.pow(-decay)
        table = table.scatter_reduce(1, ids, each, "prod")
    else:
        latest_distance = torch.full_like(table, torch.inf).scatter_reduce(1, ids, distance, "amin")
        faded = 1.0 + (penalty - 1.0) * latest_distance.pow(-decay)
        table = torch.where(latest_distance.isinf(), table, faded)
    return table[:, :width]


def frequency_penalty(logits: Tensor, rows: Rows, parameters: Parameters, states: None) -> Tensor:
    """Lowers the logits of past ids by the penalty times the number of their occurrences."""
    width = logits.shape[-1]
    ids = latest(rows, parameters["window"], width, ordered=False)
    if ids is None:
        return logits
    lowered: Tensor = logits - occurrences(ids, width) * parameters["penalty"]
    return lowered.to(logits.dtype)


def presence_penalty(logits: Tensor, rows: Rows, parameters: Parameters, states: None) -> Tensor:
    """Lowers the logits of past ids by the penalty, however often they occurred."""
    ids = latest(rows, parameters["window"], logits.shape[-1], ordered=False)
    if ids is None:
        return logits
    penalty: float | Tensor = parameters["penalty"]
    return change(logits, ids, lambda past: past - penalty)
