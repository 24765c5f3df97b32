"""The laboratory: a terminal app, a command line and sessions over the engine."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from valle_lab.notebook.lab import Lab
    from valle_lab.notebook.take import told

__all__ = ["Lab", "told"]

_HOMES = {"Lab": "valle_lab.notebook.lab", "told": "valle_lab.notebook.take"}


def __getattr__(name: str) -> Any:
    # Every command imports this package, and few of them need the lab.
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
