"""Adaptive-p: prefers ids whose probability is near a target that makes up for the draws before.

MrJackSpade's sampler as in llama.cpp, pull request 17927, with its width, peak and sharpness.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from valle.samplers.functions.choosers import column, draw_from, log_probabilities
from valle.samplers.functions.common import Choice, Parameters, of_rows
from valle.samplers.rows import Rows
from valle.samplers.values import Curve

WIDTH, PEAK, SHARPNESS = 0.3, 5.0, 10.0


@dataclass(frozen=True, slots=True)
class AdaptiveState:
    """``average`` [R]: the fading average of the probabilities of what each row took."""

    average: Tensor


def start_adaptive_p(rows_count: int, parameters: Parameters, device: torch.device | str) -> AdaptiveState:
    """An average that has always met the target; where that follows a curve, its first value."""
    target = parameters["target"]
    first = target.values[0] if isinstance(target, Curve) else target
    return AdaptiveState(torch.full((rows_count,), float(first), device=device))


def adaptive_p(logits: Tensor, rows: Rows, parameters: Parameters, states: AdaptiveState) -> Choice:
    """An id drawn from the softmax of the values that nearness to the target gives."""
    final = logits.cpu().numpy()
    average = states.average.cpu().double().numpy()[:, None]
    aim = np.clip(2.0 * column(parameters["target"]) - average, 0.0, 1.0)
    return draw_from(final, adaptive_values(final, aim), rows, "choose")


def adaptive_values(final: NDArray[np.float32], aim: NDArray[np.float64]) -> NDArray[np.float64]:
    """Values [R, V] that fall with the distance of an id's probability from ``aim`` [R, 1]."""
    distance = np.abs(np.exp(log_probabilities(final)) - aim) / WIDTH
    values = PEAK - SHARPNESS * distance**2 / (1.0 + distance)
    return np.where(np.isneginf(final), -np.inf, values)


def accept_adaptive_p(
    states: AdaptiveState, rows: Rows, parameters: Parameters, logits: Tensor, token: Tensor
) -> AdaptiveState:
    """The average after a step, with the probability that the taken id had before its value was made new."""
    chosen = token.cpu().numpy()
    probability = np.exp(log_probabilities(logits.cpu().numpy())[np.arange(len(chosen)), chosen])
    decay = of_rows(parameters["decay"])
    average = decay * states.average.cpu().double().numpy() + (1.0 - decay) * probability
    return AdaptiveState(torch.from_numpy(average.astype(np.float32)).to(states.average.device))
