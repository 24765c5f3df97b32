"""Training a model to be left early: layers are left out at random, and early layers are asked as well.

LayerSkip (arXiv 2404.16710), sections 4.1 and 4.2: a layer is left out with a probability that rises from 0
at the first one; of the early layers one a batch is asked for the answer, by the model's own norm and heads.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from valle.models.layout import Layout


@dataclass(eq=False)
class Early:
    """What one early layer made of a pass: its number, the weight of its loss, its stream [R, S, D]."""

    layer: int
    weight: float
    hidden: list[Tensor] = field(default_factory=list)


@contextmanager
def skipping(
    layers: nn.ModuleList, layouts: Sequence[Layout], dropout: float, scale: float
) -> Iterator[Early | None]:
    """Have one pass over rows of these layouts leave layers out and note an early one; no hook stays behind.

    `dropout` is the last layer's; `scale` the loss's, 0 for none. What is left out and which layer is asked
    follow from the rows, so that a run that goes on from a saved state does the same.
    """
    random = torch.Generator().manual_seed(_seed(layouts))
    count = len(layers)
    early = None
    handles = []
    if scale and count > 1:
        chosen = 1 + int(torch.randint(count - 1, (), generator=random))
        early = Early(chosen, early_weight(chosen, count, scale))
        handles.append(layers[chosen - 1].register_forward_hook(_noting(early)))
    for layer in range(1, count) if dropout else ():
        kept = torch.rand(len(layouts), generator=random) >= left_out(layer, count, dropout)
        if not kept.all():
            handles.append(layers[layer].register_forward_hook(_leaving(kept), prepend=True))
    try:
        yield early
    finally:
        for handle in handles:
            handle.remove()


def left_out(layer: int, layers: int, dropout: float) -> float:
    """With which probability a layer, counted from 0, is left out: D (e^(l ln 2 / (L - 1)) - 1)."""
    return dropout * (math.exp(layer * math.log(2) / (layers - 1)) - 1)


def early_weight(layer: int, layers: int, scale: float) -> float:
    """The share of the loss after so many layers, beside that of all of them.

    The weights are e(l) = scale x (1 + ... + l) and for the last layer L - 1 + scale x (1 + ... + L - 2), l
    counted from 0; they are made to sum to 1 (equation 4 of the paper).
    """
    own = scale * (layer - 1) * layer / 2
    last = layers - 1 + scale * (layers - 2) * (layers - 1) / 2
    return own / (own + last)


def _noting(early: Early) -> Any:
    def note(_module: nn.Module, _inputs: Any, output: Tensor) -> None:
        early.hidden[:] = [output]

    return note


def _leaving(kept: Tensor) -> Any:
    def leave(_module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> Tensor:
        return torch.where(kept.to(output.device).view(-1, 1, 1), output, inputs[0])

    return leave


def _seed(layouts: Sequence[Layout]) -> int:
    return sum(int(lookup.ids.sum()) for layout in layouts for lookup in layout.lookups)
