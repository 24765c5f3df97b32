"""What a LoRA adapter is: for some linear layers two small matrices whose product is added to the weight.

Hu et al., "LoRA: low-rank adaptation of large language models" (arXiv 2106.09685).
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn

from valle.errors import UserError

PHASES = ("ar", "nar")
PROJECTIONS = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")
"""What an adapter can change in a block of Llama; other backbones have other names."""
USUAL = ("q_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")
IN_PASSES = ("nar", "nar_len")
_LARGEST_RANK = 4096


@dataclass(frozen=True)
class AdapterShape:
    """How an adapter is made, apart from its numbers.

    The product is scaled by alpha / rank. `modules` are the last parts of the names of the layers. `phases`
    says where it acts: `ar` is all that is decided id after id, `nar` all that is decided in passes. `levels`
    narrows it to those codebooks, if there are any.
    Raises UserError for what cannot be made.
    """

    rank: int = 8
    alpha: float = 16.0
    dropout: float = 0.0
    modules: tuple[str, ...] = USUAL
    phases: tuple[str, ...] = PHASES
    levels: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        if not 1 <= self.rank <= _LARGEST_RANK:
            raise UserError(f"The rank of an adapter must be from 1 to {_LARGEST_RANK}, not {self.rank}.")
        if not math.isfinite(self.alpha) or self.alpha <= 0:
            raise UserError(f"The alpha of an adapter must be a number above 0, not {self.alpha}.")
        if not 0 <= self.dropout < 1:
            raise UserError(f"The dropout of an adapter must be from 0 to below 1, not {self.dropout}.")
        if not self.modules:
            raise UserError(f"An adapter needs modules; the usual ones are {', '.join(USUAL)}.")
        if not self.phases or (strange := [name for name in self.phases if name not in PHASES]):
            named = ", ".join(strange) if self.phases else "none"
            raise UserError(f"The phases of an adapter must be ar, nar or both, not {named}.")

    @property
    def scale(self) -> float:
        """What the product of the matrices is multiplied with."""
        return self.alpha / self.rank

    def acts(self, phase: str, level: int) -> bool:
        """Whether it is part of the passes of a phase and level."""
        group = "nar" if phase in IN_PASSES else "ar"
        return group in self.phases and (not self.levels or level in self.levels)


class Matrices(NamedTuple):
    """The change of one layer: down [rank, in] and up [out, rank].

    In files that the reference wrote with parametrization they are [rank, out] and [in, rank], and the
    product is read in the order of the weight's numbers.
    """

    down: Tensor
    up: Tensor

    def change(self, weight: Tensor) -> Tensor:
        """The product in the shape of the weight, float32, unscaled."""
        return (self.up.float() @ self.down.float()).reshape(weight.shape)


@dataclass(frozen=True, eq=False)
class Adapter:
    """An adapter as a file holds it: its layers by their names in the model."""

    name: str
    shape: AdapterShape
    layers: Mapping[str, Matrices]
    hash: str = ""
    """sha256 of its tensors as stored; empty where it was never stored."""
    model: str = ""
    """Content hash of the model that it was trained on; empty where the file does not know it."""
    steps: int = 0
    """Optimiser steps trained."""


def fresh(model: nn.Module, name: str, shape: AdapterShape, seed: int = 0) -> Adapter:
    """An adapter of a model's layers that changes nothing yet: the down matrices random, the up ones zero.

    Raises UserError where the model has no layer of these modules.
    """
    generator = torch.Generator().manual_seed(seed)
    layers = {}
    for path, linear in linear_layers(model, shape.modules):
        down = torch.empty(shape.rank, linear.in_features)
        bound = 1 / math.sqrt(linear.in_features)  # Kaiming's with a = sqrt(5), as for a linear layer
        layers[path] = Matrices(
            down.uniform_(-bound, bound, generator=generator), torch.zeros(linear.out_features, shape.rank)
        )
    if not layers:
        raise UserError(f"The model has no layers named {', '.join(shape.modules)} for an adapter to change.")
    return Adapter(name, shape, layers)


def linear_layers(model: nn.Module, modules: tuple[str, ...]) -> Iterator[tuple[str, nn.Linear]]:
    """The linear layers of the backbone whose name ends in one of these, by their names."""
    for path, module in model.named_modules():
        name = path.removesuffix(".base")  # of a layer that was replaced
        if isinstance(module, nn.Linear) and name.startswith("model.") and name.endswith(modules):
            yield name, module
