"""Commands on the layers that decide level 0: leave early, draft early, or all of them; for takes to come."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from valle.early_exit import EarlyExit
from valle_lab.lab.registry import command

if TYPE_CHECKING:
    from valle_lab.lab.lab import Lab


def leave(lab: Lab, layer: int, entropy: float | None = None, varentropy: float | None = None) -> EarlyExit:
    """Leave from this layer on below these thresholds [bits], or those kept for the model without them."""
    exits = EarlyExit(layer)
    if entropy is not None:
        exits = replace(exits, entropy=entropy)
    if varentropy is not None:
        exits = replace(exits, varentropy=varentropy)
    if entropy is None and varentropy is None and lab.description is not None:
        from valle.layer_thresholds import fitted

        exits = fitted(exits, lab.description.model_hash)
    return _set(lab, exits)


def draft(lab: Lab, layer: int, tokens: int) -> EarlyExit:
    """Draft so many tokens by the layers up to this one, and have all layers decide on them."""
    return _set(lab, EarlyExit(layer, draft=tokens))


def every(lab: Lab) -> None:
    """Decide by all layers, one token at a time."""
    lab.early_exit = None
    lab.mark("settings")


def _set(lab: Lab, exits: EarlyExit) -> EarlyExit:
    if lab.description is not None and lab.description.layers:
        exits.check(lab.description.layers)
    lab.early_exit = exits
    lab.mark("settings")
    return exits


COMMANDS = (
    command("layers.leave", leave),
    command("layers.draft", draft),
    command("layers.all", every),
)
