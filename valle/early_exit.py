"""Leaving a model at an early layer: when, and whether the layers that are left out check it; no torch."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from valle.errors import UserError

MOST_LAYERS = 1024
MOST_DRAFTED = 64
MOST_BITS = 1000.0


@dataclass(frozen=True, slots=True)
class EarlyExit:
    """How level 0 is decided without all layers (LayerSkip, arXiv 2404.16710; thresholds as the reference's).

    Without drafts a step leaves after `layer` layers or a later one as soon as entropy (bits) and varentropy
    (bits squared) of that layer's logits are both below their thresholds. With drafts `layer` layers propose
    so many tokens, and all layers decide on them in one pass: the outcome is that of all layers.
    Raises UserError for what is out of range.
    """

    layer: int
    entropy: float = 0.1
    varentropy: float = 0.1
    draft: int = 0

    def __post_init__(self) -> None:
        if not 1 <= self.layer <= MOST_LAYERS:
            raise UserError(f"The exit layer must be from 1 to {MOST_LAYERS}, not {self.layer}.")
        if not 0 <= self.draft <= MOST_DRAFTED:
            raise UserError(f"The tokens of a draft must be from 0 to {MOST_DRAFTED}, not {self.draft}.")
        for name, threshold in (("entropy", self.entropy), ("varentropy", self.varentropy)):
            if not math.isfinite(threshold) or not 0 <= threshold <= MOST_BITS:
                raise UserError(
                    f"The {name} threshold of early exit must be from 0 to {MOST_BITS:g}, not {threshold}."
                )

    def __str__(self) -> str:
        if self.draft:
            return f"drafts of {self.draft} by {self.layer} layers, decided by all"
        return (
            f"leaving from layer {self.layer} on below {self.entropy:g} bits and {self.varentropy:g} bits^2"
        )

    def check(self, layers: int) -> None:
        """Raise UserError where a model with so many layers has none to leave out."""
        if self.layer >= layers:
            raise UserError(
                f"The exit layer {self.layer} leaves nothing out of a model of {layers} layers; it must be "
                f"from 1 to {layers - 1}."
            )

    def leaves(self, entropy: float, varentropy: float) -> bool:
        """Whether logits of these measures are sure enough."""
        return entropy < self.entropy and varentropy < self.varentropy


def asked_exit(on: bool, usual_layer: int, given: Mapping[str, float | int | None]) -> EarlyExit | None:
    """How level 0 is decided without all layers, if that is asked for; None in `given` is not said.

    Raises UserError for what is out of range, and for what would have no effect.
    """
    said: dict[str, Any] = {name: value for name, value in given.items() if value is not None}
    if not on:
        if said:
            raise UserError("--layer-skip-... has an effect only with --layer-skip; add it")
        return None
    return EarlyExit(**{"layer": usual_layer, **said})
