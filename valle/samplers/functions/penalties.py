"""Penalties on ids of the past."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from valle.samplers.functions.common import Parameters
from valle.samplers.rows import Rows


def repetition_penalty(logits: Tensor, rows: Rows, parameters: Parameters, states: None) -> Tensor:
    """Divides positive logits of past ids by the penalty and multiplies negative ones.

    Keskar et al. 2019 only divide; the sign rule is that of transformers. With ``normalize`` the logits are
    log-softmaxed first, so that all are negative (arXiv 2607.09791).
    """
    if parameters["normalize"]:
        logits = logits.log_softmax(-1)
    recent = rows.recent(_most(parameters["window"]))
    if recent is None:
        return logits
    ids, counts = recent
    if isinstance(parameters["window"], Tensor):
        window = parameters["window"].round()
        counts = counts & ((torch.arange(ids.shape[1], device=ids.device) < window) | (window == 0))
    counts = counts & (ids < logits.shape[-1])
    fades = isinstance(parameters["decay"], Tensor) or parameters["decay"] > 0
    if parameters["count"] == "id" and not fades:
        return _once(logits, ids, counts, parameters["penalty"])
    factor = _factors(torch.where(counts, ids, logits.shape[-1]), logits.shape[-1], parameters)
    return torch.where(logits > 0, logits / factor, logits * factor)


def _once(logits: Tensor, ids: Tensor, counts: Tensor, penalty: float | Tensor) -> Tensor:
    """The same penalty once for every id [R, W] that counts."""
    width = logits.shape[-1]
    if not bool(counts.all()):
        # An extra column takes the ids that do not count.
        logits = torch.nn.functional.pad(logits, (0, 1))
        ids = torch.where(counts, ids, width)
    past = logits.gather(-1, ids)
    return logits.scatter(-1, ids, torch.where(past > 0, past / penalty, past * penalty))[:, :width]


def _factors(ids: Tensor, width: int, parameters: Parameters) -> Tensor:
    """The penalty of each id [R, V], 1 where it is not in the past; the id V stands for nothing."""
    penalty, decay = parameters["penalty"], parameters["decay"]
    distance = torch.arange(1, ids.shape[1] + 1, device=ids.device, dtype=torch.float32).expand(ids.shape)
    table = torch.ones(ids.shape[0], width + 1, device=ids.device)
    if parameters["count"] == "occurrence":
        each = 1.0 + (penalty - 1.0) * distance.pow(-decay)
        table = table.scatter_reduce(1, ids, each, "prod")
    else:
        latest = torch.full_like(table, torch.inf).scatter_reduce(1, ids, distance, "amin")
        faded = 1.0 + (penalty - 1.0) * latest.pow(-decay)
        table = torch.where(latest.isinf(), table, faded)
    return table[:, :width]


def _most(window: Any) -> int:
    """The widest window that any row asks for; 0 is the whole past."""
    if not isinstance(window, Tensor):
        return int(window)
    rounded = window.round()
    return 0 if bool((rounded == 0).any()) else int(rounded.max())
