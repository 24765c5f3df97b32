"""The optimiser Muon: momentum whose matrices are made orthogonal before they are applied.

K. Jordan et al., "Muon: an optimizer for hidden layers in neural networks" (2024), with the coefficients
given there and the scale of its first version, as `torch.optim.Muon` has it. That one iterates in bfloat16
always, which takes longer than the rest of a step on a processor that has to emulate it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable

import torch
from torch import Tensor, nn

from valle.training.precision import fast_dtype

COEFFICIENTS = (3.4445, -4.7750, 2.0315)
ROUNDS = 5


def orthogonal(matrix: Tensor) -> Tensor:
    """Roughly the nearest orthogonal matrix, by Newton and Schulz: its singular values are near .7 to 1.2."""
    a, b, c = COEFFICIENTS
    tall = matrix.shape[0] > matrix.shape[1]
    made: Tensor = (matrix.mT if tall else matrix).to(fast_dtype(matrix.device.type))
    made = made / made.norm().clamp_min(1e-7)
    for _ in range(ROUNDS):
        gram = made @ made.mT
        made = a * made + (b * gram + c * gram @ gram) @ made
    return made.mT if tall else made


class Muon(torch.optim.Optimizer):
    """Nesterov momentum, made orthogonal; for matrices only."""

    def __init__(
        self,
        parameters: Iterable[nn.Parameter],
        rate: float,
        weight_decay: float = 0.01,
        momentum: float = 0.95,
    ) -> None:
        defaults = {"lr": rate, "weight_decay": weight_decay, "momentum": momentum}
        super().__init__(parameters, defaults)

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> None:  # type: ignore[override]
        """Change all matrices that have a gradient."""
        if closure is not None:
            raise ValueError("Muon takes no closure")
        for group in self.param_groups:
            momentum, rate = group["momentum"], group["lr"]
            for parameter in group["params"]:
                if parameter.grad is None:
                    continue
                state = self.state[parameter]
                if not state:
                    state["momentum_buffer"] = torch.zeros_like(parameter)
                buffer = state["momentum_buffer"].lerp_(parameter.grad, 1 - momentum)
                change = orthogonal(parameter.grad.lerp(buffer, momentum)).to(parameter.dtype)
                scale = math.sqrt(max(1, parameter.shape[0] / parameter.shape[1]))
                parameter.mul_(1 - rate * group["weight_decay"]).add_(change, alpha=-rate * scale)
