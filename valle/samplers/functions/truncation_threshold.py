"""Truncations that keep every id above a threshold; those of the best logit stay whatever it is."""

from __future__ import annotations

import torch
from torch import Tensor

from valle.samplers.functions.common import NEVER, Parameters, entropy, keep_from, log_of
from valle.samplers.rows import Rows


def top_a(logits: Tensor, rows: Rows, parameters: Parameters, states: None) -> Tensor:
    """Keeps the ids whose probability is at least a times the square of the highest one (BlinkDL, RWKV)."""
    log_probability = logits.float().log_softmax(-1)
    best = log_probability.amax(-1, keepdim=True)
    return keep_from(logits, log_probability, log_of(parameters["a"]) + 2.0 * best)


def epsilon(logits: Tensor, rows: Rows, parameters: Parameters, states: None) -> Tensor:
    """Keeps the ids whose probability is at least epsilon (Hewitt et al. 2022)."""
    return keep_from(logits, logits.float().log_softmax(-1), log_of(parameters["epsilon"]))


def eta(logits: Tensor, rows: Rows, parameters: Parameters, states: None) -> Tensor:
    """Keeps the ids with a probability of at least min(epsilon, sqrt(epsilon) e^-H) (Hewitt et al. 2022)."""
    log_probability = logits.float().log_softmax(-1)
    log_epsilon = log_of(parameters["epsilon"])
    spread = 0.5 * log_epsilon - entropy(log_probability)
    least = (
        torch.minimum(spread, log_epsilon)
        if isinstance(log_epsilon, Tensor)
        else spread.clamp_max(log_epsilon)
    )
    return keep_from(logits, log_probability, least)


def top_n_sigma(logits: Tensor, rows: Rows, parameters: Parameters, states: None) -> Tensor:
    """Keeps the logits within n standard deviations of the best one (Tang et al. 2024); 0 keeps all.

    The deviation is that of the ids that can be taken, as of a whole population.
    """
    n = parameters["n"]
    if not isinstance(n, Tensor) and n == 0:
        return logits
    live = logits > NEVER
    best = logits.amax(-1, keepdim=True)
    distance = torch.where(live, (logits - best).float(), 0.0)
    count = live.sum(-1, keepdim=True)
    mean = distance.sum(-1, keepdim=True) / count
    variance = torch.where(live, distance - mean, 0.0).square().sum(-1, keepdim=True) / count
    least = -n * variance.sqrt()
    if isinstance(n, Tensor):
        least = torch.where(n == 0, NEVER, least)
    return torch.where((distance >= least) & live, logits, NEVER)


def p_less(logits: Tensor, rows: Rows, parameters: Parameters, states: None) -> Tensor:
    """Keeps the ids that are at least as likely as two draws are to agree, the sum of p^2.

    arXiv 2509.23234.
    """
    probability = logits.float().softmax(-1)
    return keep_from(logits, probability, probability.square().sum(-1, keepdim=True))
