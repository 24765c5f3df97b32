"""Temperature."""

from __future__ import annotations

import torch
from torch import Tensor

from valle.samplers.functions.common import Parameters, only_best
from valle.samplers.rows import Rows

COLDEST = 1e-5
"""Below this a division could overflow; it is taken for 0, as in vLLM."""


def temperature(logits: Tensor, rows: Rows, parameters: Parameters, states: None) -> Tensor:
    """Divides the logits; 0 keeps only the best id of the row."""
    value = parameters["value"]
    if not isinstance(value, Tensor):
        return logits / value if value >= COLDEST else only_best(logits)
    cold = value < COLDEST
    warm = logits / torch.where(cold, 1.0, value)
    return torch.where(cold, only_best(logits), warm) if bool(cold.any()) else warm
