"""Linear layers with ternary weights, BitNet b1.58 (arXiv 2402.17764), alone or in any backbone.

transformers has such a layer too, but its functions are compiled at first use, which needs a compiler on the
machine, and it multiplies what it has rounded as fractions; here whole numbers are multiplied, so that a sum
has no rounding of its own and does not depend on how the batch was cut.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from valle.models.arch.llama import Llama
from valle.models.config import ModelConfig

_LARGEST_ACTIVATION = 127
_SMALLEST_SCALE = 1e-5
_EPSILON = 1e-6


class _Round(torch.autograd.Function):
    """Rounding that hands its gradient on as if it were not there (straight-through, arXiv 1308.3432)."""

    @staticmethod
    def forward(_context: Any, values: Tensor, largest: int) -> Tensor:
        return values.round().clamp(-largest, largest)

    @staticmethod
    def backward(_context: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        return gradients[0], None


def rounded(values: Tensor, largest: int) -> Tensor:
    """Return the nearest whole numbers of at most this size, with the gradient of the values themselves."""
    found: Tensor = _Round.apply(values, largest)  # type: ignore[no-untyped-call]
    return found


class BitLinear(nn.Linear):
    """A linear layer of ternary weights on activations of 8 bits, which it brings to unit mean square first.

    The weights are kept, trained and saved in full precision under the names of `nn.Linear`.
    """

    def forward(self, input: Tensor) -> Tensor:
        """Return the layer's answer to input [..., D], in float32 inside and the input's dtype outside."""
        with torch.autocast(input.device.type, enabled=False):
            weight = self.weight.float()
            activation = functional.rms_norm(input.float(), input.shape[-1:], eps=_EPSILON)
            weight_scale = weight.detach().abs().mean().clamp(min=_SMALLEST_SCALE)
            largest = activation.detach().abs().amax(-1, keepdim=True)
            activation_scale = largest.clamp(min=_SMALLEST_SCALE) / _LARGEST_ACTIVATION
            ternary = rounded(weight / weight_scale, 1)
            whole = rounded(activation / activation_scale, _LARGEST_ACTIVATION)
            answer = functional.linear(whole, ternary) * (activation_scale * weight_scale)
            if self.bias is not None:
                answer = answer + self.bias.float()
        return answer.to(input.dtype)


def use_bit_linear(module: nn.Module) -> None:
    """Make every linear layer inside a module a BitLinear with the same weights."""
    for part in module.modules():
        if type(part) is nn.Linear:
            part.__class__ = BitLinear


class BitNet(Llama):
    """The Llama body with ternary weights."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__(config)
        use_bit_linear(self)
