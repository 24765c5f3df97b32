"""Attention backends by name: how softmax(q k^T / sqrt(d)) v is computed."""

from valle.models.arch.attention.kernel import Kernel, use_attention
from valle.models.arch.attention.mask import Mask, Span
from valle.models.arch.attention.registry import BACKENDS, Attend, availability, find, resolve

__all__ = [
    "BACKENDS",
    "Attend",
    "Kernel",
    "Mask",
    "Span",
    "availability",
    "find",
    "resolve",
    "use_attention",
]
