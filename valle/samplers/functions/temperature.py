"""Temperatures, and other ways to flatten or sharpen a distribution that take no id away."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from valle.samplers.functions.common import NEVER, Parameters, entropy, only_best
from valle.samplers.rows import Rows

COLDEST = 1e-5
"""Below this a division could overflow; it is taken for 0, as in vLLM."""
FARTHEST = -1e12
"""Where distances end whose cubes must be held by a float32."""
RAREST = math.log(1e-20)
"""The least log-probability that the unified sampler tells from others, as in Zonos."""


def temperature(logits: Tensor, rows: Rows, parameters: Parameters, states: None) -> Tensor:
    """Divides the logits; 0 keeps only the best id of the row."""
    value = parameters["value"]
    if not isinstance(value, Tensor):
        return logits / value if value >= COLDEST else only_best(logits)
    return _divided(logits, value)


def dynamic_temperature(logits: Tensor, rows: Rows, parameters: Parameters, states: None) -> Tensor:
    """Divides the logits by a temperature that depends on how sure the row is.

    ``entropy``: minimum + (maximum - minimum) x (H / Hmax)^exponent, where Hmax is the logarithm of the
    number of ids that can be taken; a row with one such id stays as it is (koboldcpp, llama.cpp).
    ``sigmoid``: maximum - (maximum - minimum) x sigmoid(steepness x (p - center)), p the highest probability.
    """
    low, high = parameters["minimum"], parameters["maximum"]
    log_probability = logits.float().log_softmax(-1)
    if parameters["form"] == "sigmoid":
        best = log_probability.amax(-1, keepdim=True).exp()
        sure = torch.sigmoid(parameters["steepness"] * (best - parameters["center"]))
        return _divided(logits, high - (high - low) * sure)
    live = (logits > NEVER).sum(-1, keepdim=True)
    spread = (entropy(log_probability) / live.log().clamp_min(1e-6)).clamp(0.0, 1.0)
    value = low + (high - low) * spread.pow(parameters["exponent"])
    return _divided(logits, torch.where(live > 1, value, 1.0))


def _divided(logits: Tensor, value: Tensor) -> Tensor:
    """The logits by a temperature [R, 1]; 0 keeps only the best id of the row."""
    cold = value < COLDEST
    warm = (logits / torch.where(cold, 1.0, value)).to(logits.dtype)
    return torch.where(cold, only_best(logits), warm) if bool(cold.any()) else warm


def quadratic_smoothing(logits: Tensor, rows: Rows, parameters: Parameters, states: None) -> Tensor:
    """Bends the logits by their distance d below the best one, which stays where it is.

    max - k f d^2 + s f d^3, with f the factor, k = (3 - curve) / 2 and s = (curve - 1) / 2
    (text-generation-webui PR 5403). A factor of 0 is off.
    """
    factor, curve = parameters["factor"], parameters["curve"]
    if not isinstance(factor, Tensor) and factor == 0:
        return logits
    best = logits.amax(-1, keepdim=True).float()
    distance = (logits - best).clamp_min(FARTHEST)
    bent = best + factor * distance.square() * ((curve - 1) / 2 * distance - (3 - curve) / 2)
    bent = torch.where(logits == NEVER, NEVER, bent).to(logits.dtype)
    return torch.where(factor == 0, logits, bent) if isinstance(factor, Tensor) else bent


def unified(logits: Tensor, rows: Rows, parameters: Parameters, states: None) -> Tensor:
    """Log-probabilities times (linear + confidence x H), minus quadratic times their squares (Zonos).

    H is the entropy in nats. The most likely id gains from ``linear``, a flat row from ``confidence``.
    """
    linear, confidence, square = (parameters[name] for name in ("linear", "confidence", "quadratic"))
    given = (linear, confidence, square)
    if not any(isinstance(value, Tensor) for value in given) and given == (1.0, 0.0, 0.0):
        return logits
    log_probability = logits.float().log_softmax(-1)
    slope = linear + confidence * entropy(log_probability)
    seen = log_probability.clamp_min(RAREST)
    return torch.where(logits == NEVER, NEVER, seen * (slope - square * seen)).to(logits.dtype)
