"""Linear layers that read the same as one product, and weights that lie in memory as steps read them.

A step multiplies one position by every weight, and costs about what it takes to fetch them and to begin each
product. So layers that read the same are one product; and on the CPU a weight lies input by input, which a
row times a matrix reads from end to end (measured: a fifth faster with one row, and a third with two).
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate

import torch
from torch import Tensor, nn
from torch.nn import functional

_FEW = 16
"""Positions for which beginning a product costs about as much as computing it."""


class Together:
    """Layers of one module that read the same, by their names; whatever stands there is called.

    They are one product where no gradients are wanted, the layers are plain ones, and `lay_for_steps` has
    laid their weights side by side.
    """

    def __init__(self, module: nn.Module, *names: str) -> None:
        self._modules, self._names = module._modules, names
        self._places: list[int] = []
        self._joined: Tensor | None = None

    @property
    def layers(self) -> list[nn.Linear]:
        """The layers as they are now."""
        return [self._modules[name] for name in self._names]  # type: ignore[misc]

    def joined(self, hidden: Tensor) -> Tensor:
        """Return the answers to hidden [..., D] side by side, [..., sum of outputs]."""
        weight = self._weight()
        if weight is None:
            return torch.cat([layer(hidden) for layer in self.layers], -1)
        return functional.linear(hidden, weight)

    def each(self, hidden: Tensor) -> Sequence[Tensor]:
        """Return the answers one by one, [..., outputs] each, as many of all; where there are many positions
        they are computed one by one as well, which is faster then."""
        weight = self._weight() if hidden.numel() <= _FEW * hidden.shape[-1] else None
        if weight is None:
            return [layer(hidden) for layer in self.layers]
        return functional.linear(hidden, weight).chunk(len(self._names), -1)

    def _weight(self) -> Tensor | None:
        """The weights as one, [sum of outputs, D]; found anew only when they lie elsewhere than before."""
        if torch.is_grad_enabled():
            return None
        places = []
        for layer in self.layers:
            if type(layer) is not nn.Linear:
                return None
            places.append(layer.weight.data_ptr())
        if places != self._places:
            self._places, self._joined = places, _as_one([layer.weight for layer in self.layers])
        return self._joined


@torch.no_grad()
def lay_for_steps(model: nn.Module) -> None:
    """Lay the weights of a model as steps read them; none of their numbers changes."""
    alone = {module: None for module in model.modules() if type(module) is nn.Linear}
    for module in model.modules():
        for group in (each for each in vars(module).values() if isinstance(each, Together)):
            if all(layer in alone for layer in group.layers):
                _lay(group.layers)
                alone = {layer: None for layer in alone if layer not in group.layers}
    for layer in alone:
        _lay([layer])


def _lay(layers: Sequence[nn.Linear]) -> None:
    """Lay the weights of layers side by side."""
    whole = torch.cat([layer.weight.data for layer in layers])
    # In half precision the CPU's products are many times slower with weights that lie the other way.
    if whole.device.type == "cpu" and whole.dtype == torch.float32:
        whole = whole.t().contiguous().t()
    for layer, weight in zip(layers, whole.split([layer.out_features for layer in layers]), strict=True):
        layer.weight.data = weight


def _as_one(weights: Sequence[Tensor]) -> Tensor | None:
    """A view of weights as one, [sum of outputs, D]; None where they do not lie side by side."""
    first = weights[0]
    *outputs, total = accumulate(len(weight) for weight in weights)
    begin, stride = first.data_ptr(), first.stride()
    for weight, before in zip(weights[1:], outputs, strict=True):
        if weight.stride() != stride or weight.data_ptr() != begin + before * stride[0] * first.itemsize:
            return None
    if first.untyped_storage().nbytes() < total * first.shape[1] * first.itemsize:
        return None  # neighbours by chance
    return first.detach().as_strided((total, first.shape[1]), stride)
