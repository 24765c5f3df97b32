"""The laboratory without a screen: one object with all state, and the commands that change it. No torch."""

from valle_lab.lab.lab import Lab

__all__ = ["Lab"]
