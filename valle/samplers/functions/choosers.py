"""Greedy and the seeded draw."""

from __future__ import annotations

import torch
from torch import Tensor

from valle.samplers.functions.common import NEVER, Choice, Parameters
from valle.samplers.rows import Rows


def greedy(logits: Tensor, rows: Rows, parameters: Parameters, states: None) -> Choice:
    """The most likely id of each row; the lowest one among equals."""
    return best_of(logits, logits.clone())


def draw(logits: Tensor, rows: Rows, parameters: Parameters, states: None) -> Choice:
    """An id with its probability: the best logit after Gumbel noise in float64 (Gumbel-max).

    A constant added to a row changes nothing, so the logits need no normalising.
    """
    return best_of(logits, logits + rows.gumbel("choose", logits.shape[-1], logits.device))


def best_of(logits: Tensor, scores: Tensor) -> Choice:
    """The best and second best of ``scores`` [R, V], which is overwritten; probabilities are of ``logits``
    [R, V]."""
    best = scores.max(-1, keepdim=True)
    scores.scatter_(-1, best.indices, NEVER)
    second = scores.max(-1)
    token = best.indices
    log_probability = logits.gather(-1, token)[:, 0] - logits.logsumexp(-1)
    runner_up = torch.where(second.values == NEVER, -1, second.indices)
    return Choice(token[:, 0], log_probability, runner_up, best.values[:, 0] - second.values)
