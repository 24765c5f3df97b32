"""Stages against loops: n-grams that would come again, suffixes that go on as before, runs of silence."""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor

from valle.samplers.functions.common import NEVER, Parameters, ids_of, in_row
from valle.samplers.functions.history import latest
from valle.samplers.rows import Rows

LONGEST = 50
"""Where the length of a match ends for DRY: a longer one is penalised like this one."""


def no_repeat_ngram(logits: Tensor, rows: Rows, parameters: Parameters, states: None) -> Tensor:
    """Forbids every id that would complete an n-gram of the past, all of it within the window."""
    size, width = parameters["size"], logits.shape[-1]
    ids = latest(rows, parameters["window"], width)
    if size == 0 or ids is None or ids.shape[1] < size:
        return logits
    # Newest first: an id followed the size - 1 after it, and would follow the latest ones.
    known = ids.cpu().numpy()
    places = ids.shape[1] - size + 1
    again = known[:, :places] < width
    for distance in range(size - 1):
        last = known[:, distance, None]
        again &= (known[:, distance + 1 : distance + 1 + places] == last) & (last < width)
    if not np.count_nonzero(again):
        return logits
    row, place = again.nonzero()
    result = logits.clone()
    result[torch.from_numpy(row), torch.from_numpy(known[row, place])] = NEVER
    return result


def dry(logits: Tensor, rows: Rows, parameters: Parameters, states: None) -> Tensor:
    """Lowers the ids that would go on as before: by multiplier x base^(n - allowed length).

    n is how many of the latest ids also stand before an earlier occurrence of that id, the longest of them
    where there are several ("don't repeat yourself", text-generation-webui). A match ends at a breaker.
    """
    ids = latest(rows, parameters["range"], logits.shape[-1])
    if ids is None or ids.shape[1] < 2:
        return logits
    usable = ids < logits.shape[-1]
    if parameters["breakers"]:
        usable &= ~torch.isin(ids, ids_of(parameters["breakers"], logits.device))
    ends = usable[:, :1] & usable[:, 1:] & usable[:, :-1] & (ids[:, 1:] == ids[:, :1])
    row, followed = ends.nonzero(as_tuple=True)
    if len(row) == 0:
        return logits
    exponent = _match_lengths(ids, usable, row, followed + 1) - in_row(parameters["allowed_length"], row)
    long = exponent >= 0
    if not bool(long.any()):
        return logits
    penalty = in_row(parameters["multiplier"], row) * _power(in_row(parameters["base"], row), exponent)
    penalty = torch.where(long, penalty, 0.0).clamp_max(torch.finfo(logits.dtype).max / 2)
    table = torch.zeros(logits.shape, device=logits.device)
    table.view(-1).scatter_reduce_(0, row * logits.shape[-1] + ids[row, followed], penalty, "amax")
    return (logits - table).to(logits.dtype)


def _match_lengths(ids: Tensor, usable: Tensor, row: Tensor, at: Tensor) -> Tensor:
    """How many ids [M] at ``at`` and before it equal the latest ones of the row, as float32."""
    longest = min(LONGEST, ids.shape[1])
    before = torch.nn.functional.pad(torch.where(usable, ids, -1), (0, longest), value=-1)
    same = before.unfold(1, longest, 1)[row, at] == ids[:, :longest][row]
    return same.cumprod(-1, dtype=torch.float32).sum(-1)


def _power(base: float | Tensor, exponent: Tensor) -> Tensor:
    """``base`` to the power of ``exponent``, where float32 can hold it."""
    growth = base.log() if isinstance(base, Tensor) else math.log(base)
    return (exponent * growth).clamp_max(math.log(torch.finfo(torch.float32).max) - 1.0).exp()


def silence_penalty(logits: Tensor, rows: Rows, parameters: Parameters, states: None) -> Tensor:
    """Divides positive logits of silence codes after a long run of silence, and multiplies negative ones.

    The divisor is 1 + penalty x (run - allowed), where the run is longer than allowed. ``run`` "same" counts
    the latest id alone and lowers only that one, "any" counts all silence codes and lowers all of them.
    """
    width = logits.shape[-1]
    silent = ids_of((item for item in parameters["ids"] if item < width), logits.device)
    ids = latest(rows, 0, width)
    if ids is None or len(silent) == 0:
        return logits
    silence = torch.isin(ids, silent)
    if parameters["run"] == "same":
        silence = silence & (ids == ids[:, :1])
    run = silence.cumprod(-1, dtype=torch.float32).sum(-1, keepdim=True)
    over = (run - parameters["allowed"]).clamp_min(0.0)
    if not bool(over.any()):
        return logits
    divisor = 1.0 + parameters["penalty"] * over
    newest = ids[:, :1].clamp_max(width - 1)
    chosen = newest if parameters["run"] == "same" else silent.expand(len(logits), -1)
    logit = logits.gather(-1, chosen)
    lowered = torch.where(logit > 0, logit / divisor, logit * divisor).to(logits.dtype)
    return logits.scatter(-1, chosen, lowered)
