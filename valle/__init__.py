"""The engine: VALL-E style speech models, their samplers, codecs and text, without the lab."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from valle.errors import UserError
    from valle.inference import Engine
    from valle.request import Request
    from valle.samplers.stack import Stack
    from valle.take import Take
    from valle.voices import Voice

__version__ = "0.1.0"
__all__ = ["Engine", "Request", "Stack", "Take", "UserError", "Voice"]

_HOMES = {
    "Engine": "valle.inference",
    "Request": "valle.request",
    "Stack": "valle.samplers.stack",
    "Take": "valle.take",
    "UserError": "valle.errors",
    "Voice": "valle.voices",
}


def __getattr__(name: str) -> Any:
    # Whoever wants only the samplers should not wait for the rest.
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
