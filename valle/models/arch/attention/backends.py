"""The attention backends that torch itself has, and the plain one that says what they compute.

All take query [R, H, Tq, d], key and value [R, H, Tk, d], a bool mask `keep` [R, 1, Tq, Tk] or None, and
`causal` (the queries are the last Tq of the keys); all return [R, H, Tq, d].
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional
from torch.nn.attention import SDPBackend, sdpa_kernel


def eager(query: Tensor, key: Tensor, value: Tensor, keep: Tensor | None, causal: bool) -> Tensor:
    """Compute attention step by step, the softmax in float32."""
    scores = (query @ key.transpose(-2, -1)).float() * query.shape[-1] ** -0.5
    if causal:
        keep = _triangle(query, key)
    if keep is not None:
        scores = scores.masked_fill(~keep, -torch.inf)
    return scores.softmax(-1).to(value.dtype) @ value


def sdpa(query: Tensor, key: Tensor, value: Tensor, keep: Tensor | None, causal: bool) -> Tensor:
    """Let torch choose the kernel of its scaled_dot_product_attention."""
    if causal and query.shape[2] != key.shape[2]:
        keep, causal = _triangle(query, key), False  # torch would align the first query with the first key
    return functional.scaled_dot_product_attention(query, key, value, attn_mask=keep, is_causal=causal)


def math(query: Tensor, key: Tensor, value: Tensor, keep: Tensor | None, causal: bool) -> Tensor:
    """Compute torch's scaled_dot_product_attention without a fused kernel."""
    with sdpa_kernel(SDPBackend.MATH):
        return sdpa(query, key, value, keep, causal)


def _triangle(query: Tensor, key: Tensor) -> Tensor:
    queries, keys = query.shape[2], key.shape[2]
    return torch.ones(queries, keys, dtype=torch.bool, device=query.device).tril(keys - queries)
