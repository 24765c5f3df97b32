"""Attention backends by name: how softmax(q k^T / sqrt(d)) v is computed."""

from valle.models.arch.attention.registry import BACKENDS, Attend, Mask, find, resolve

__all__ = ["BACKENDS", "Attend", "Mask", "find", "resolve"]
