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
from valle.models.arch.made import Made
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

    The weights are kept, trained and saved in full precision under the names of `nn.Linear`. Outside training
    what they are rounded to is kept as well, as long as they stay as they are.
    """

    _made: Made[tuple[Tensor, Tensor]] | None = None

    def forward(self, input: Tensor) -> Tensor:
        """Return the layer's answer to input [..., D], in float32 inside and the input's dtype outside."""
        with torch.autocast(input.device.type, enabled=False):
            ternary, weight_scale = self._ternary()
            activation = functional.rms_norm(input.float(), input.shape[-1:], eps=_EPSILON)
            largest = activation.detach().abs().amax(-1, keepdim=True)
            activation_scale = largest.clamp(min=_SMALLEST_SCALE) / _LARGEST_ACTIVATION
            whole = rounded(activation / activation_scale, _LARGEST_ACTIVATION)
            answer = functional.linear(whole, ternary) * (activation_scale * weight_scale)
            if self.bias is not None:
                answer = answer + self.bias.float()
        return answer.to(input.dtype)

    def _ternary(self) -> tuple[Tensor, Tensor]:
        """The weights as -1, 0 and 1, and what these are multiplied by."""
        # A weight that an adapter computes is another one each time; it may lie where the last one lay. One
        # that was made under inference mode counts no versions.
        if torch.is_grad_enabled() or "weight" not in self._parameters or self.weight.is_inference():
            return ternary_of(self.weight)
        self._made = self._made or Made()
        return self._made.of([self.weight], lambda: ternary_of(self.weight))


def ternary_of(weight: Tensor) -> tuple[Tensor, Tensor]:
    """Return weights rounded to -1, 0 and 1 of their mean magnitude, and that magnitude."""
    scale = weight.detach().float().abs().mean().clamp(min=_SMALLEST_SCALE)
    return rounded(weight.float() / scale, 1), scale


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
