"""Attention written out, without any kernel: what all other backends are compared with."""

from __future__ import annotations

import torch
from torch import Tensor

from valle.errors import UserError
from valle.models.arch.attention.mask import Mask


def eager(query: Tensor, key: Tensor, value: Tensor, mask: Mask) -> Tensor:
    """Compute attention step by step, the softmax in float32."""
    scores = (query @ key.transpose(-2, -1)).float() * query.shape[-1] ** -0.5
    seen = mask.dense(query, key) if mask.causal else mask.keep
    if seen is not None:
        scores = scores.masked_fill(~seen, -torch.inf)
    return scores.softmax(-1).to(value.dtype) @ value


def default(query: Tensor, key: Tensor, value: Tensor, mask: Mask) -> Tensor:
    """Compute attention in float64, and say where a number that is not finite comes from.

    Raises UserError for a query, key or value that is not finite.
    """
    for name, tensor in (("query", query), ("key", key), ("value", value)):
        if not tensor.isfinite().all():
            row, head, place, _ = (~tensor.isfinite()).nonzero()[0].tolist()
            raise UserError(
                f"Attention: the {name} of row {row}, head {head}, position {place} is not finite."
            )
    return eager(query.double(), key.double(), value.double(), mask).to(value.dtype)
