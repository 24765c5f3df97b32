"""The options of ``say`` on leaving at an early layer, understood."""

from __future__ import annotations

from typing import TYPE_CHECKING

from valle.early_exit import EarlyExit
from valle.errors import UserError

if TYPE_CHECKING:
    from valle_lab.cli.say import SayOptions

USUAL_LAYER = 3
"""Half of the built-in model's layers."""


def early_exit(options: SayOptions) -> EarlyExit | None:
    """How level 0 is decided without all layers, if it is. Raises UserError for what is out of range."""
    given = {
        "layer": options.layer_skip_exit_layer,
        "entropy": options.layer_skip_entropy_threshold,
        "varentropy": options.layer_skip_varentropy_threshold,
        "draft": options.layer_skip_draft,
    }
    asked = {name: value for name, value in given.items() if value is not None}
    if not options.layer_skip:
        if asked:
            raise UserError("--layer-skip-... has an effect only with --layer-skip; add it")
        return None
    return EarlyExit(**{"layer": USUAL_LAYER, **asked})  # type: ignore[arg-type]
