"""The laboratory: a terminal app, a command line and sessions over the engine."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from valle_lab.notebook.lab import Lab

__all__ = ["Lab"]


def __getattr__(name: str) -> Any:
    # Every command imports this package, and few of them need the lab.
    if name == "Lab":
        from valle_lab.notebook.lab import Lab

        return Lab
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
