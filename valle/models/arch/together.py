"""Linear layers that read the same, as one product where the positions are few.

Such a product takes about as long as fetching its weights, and on the CPU a matrix of more outputs than
inputs is fetched faster when it lies input by input (measured at dim 192 and 1024: all products of a step
take a quarter less). The layers keep their weights as they are; what lies the other way is a copy.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from valle.models.arch.made import Made

FEW = 16
"""Positions up to which fetching the weights takes longer than multiplying by them."""


class Together:
    """The answers of layers that read the same.

    Plain layers without biases are one product for few positions, in float32 on the CPU and without
    gradients; all others are called one by one.
    """

    def __init__(self) -> None:
        self._made: Made[tuple[Tensor, list[int]]] = Made()

    def __call__(self, hidden: Tensor, *layers: nn.Module) -> Sequence[Tensor]:
        """Return what each of the layers answers to hidden [..., D]."""
        dim = hidden.shape[-1]
        few = hidden.numel() <= FEW * dim and is_plain(hidden)
        made = self._side_by_side(layers) if few else None
        if made is None:
            return [layer(hidden) for layer in layers]
        joined, outputs = made
        answer = torch.mm(hidden.reshape(-1, dim), joined).view(*hidden.shape[:-1], joined.shape[1])
        return answer.split_with_sizes(outputs, -1)

    def _side_by_side(self, layers: Sequence[nn.Module]) -> tuple[Tensor, list[int]] | None:
        """The joined weights, and how many outputs each layer has."""
        weights = [weight for layer in layers if (weight := weight_of(layer)) is not None]
        return self._made.of(weights, lambda: _join(weights)) if len(weights) == len(layers) else None


def _join(weights: Sequence[Tensor]) -> tuple[Tensor, list[int]]:
    with torch.inference_mode(False), torch.no_grad():
        return torch.cat([weight.t() for weight in weights], 1), [weight.shape[0] for weight in weights]


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
