"""Linear layers that read the same, as one product where the positions are few.

Such a product takes about as long as fetching its weights, which `products` does as fast as it can. The
layers keep their weights as they are; the product has a copy.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from valle.models.arch.made import Made
from valle.models.arch.products import Product, product

_FEW = 16
"""Positions up to which fetching the weights takes longer than multiplying by them."""


class Together:
    """The answers of layers that read the same.

    Plain layers without biases are one product for few positions, in float32 on the CPU and without
    gradients; all others are called one by one.
    """

    def __init__(self) -> None:
        self._made: Made[tuple[Product, list[int]]] = Made()

    def __call__(self, hidden: Tensor, *layers: nn.Module) -> Sequence[Tensor]:
        """Return what each of the layers answers to hidden [..., D]."""
        made = self._side_by_side(layers) if are_few(hidden) else None
        if made is None:
            return [layer(hidden) for layer in layers]
        multiply, outputs = made
        answer = multiply(hidden.reshape(-1, hidden.shape[-1])).view(*hidden.shape[:-1], sum(outputs))
        return answer.split_with_sizes(outputs, -1)

    def product(self, *layers: nn.Module) -> Product | None:
        """Return the product with the weights of the layers side by side.

        None where one of them is more than a product.
        """
        made = self._side_by_side(layers)
        return None if made is None else made[0]

    def _side_by_side(self, layers: Sequence[nn.Module]) -> tuple[Product, list[int]] | None:
        """The product with the layers' weights, and how many outputs each layer has."""
        weights = [weight for layer in layers if (weight := weight_of(layer)) is not None]
        if len(weights) < len(layers):
            return None
        return self._made.of(weights, lambda: (product(*weights), [len(weight) for weight in weights]))


def are_few(hidden: Tensor) -> bool:
    """Whether hidden [..., D] has so few positions, and is so plain, that one product is sooner done."""
    return hidden.numel() <= _FEW * hidden.shape[-1] and is_plain(hidden)


def is_plain(hidden: Tensor) -> bool:
    """Whether one product is sooner done: half precision takes many times longer with weights that lie so."""
    return (
        hidden.dtype == torch.float32
        and hidden.device.type == "cpu"
        and not torch.is_grad_enabled()
        and not torch.is_autocast_enabled("cpu")
    )


def weight_of(layer: nn.Module | None) -> Tensor | None:
    """The weight of a layer that is its weight and no more; None where it is not, or does not tell changes.

    An adapter that does not act leaves all bits as they were without it: its layer is the one below.
    """
    if layer is not None and type(layer).forward is not nn.Linear.forward:
        layer = getattr(layer, "resting", None)
    if layer is None or layer._forward_hooks or layer._parameters["bias"] is not None:
        return None
    own = layer._parameters.get("weight")
    weight: Tensor = layer.weight if own is None else own  # type: ignore[assignment]  # else an adapter's
    return None if weight.dtype != torch.float32 or weight.is_inference() else weight
