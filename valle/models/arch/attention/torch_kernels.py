"""The attention that torch itself has: its own choice of kernel, each kernel by name, and flex."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.nn.functional import pad

from valle.errors import UserError
from valle.models.arch.attention.mask import Mask
from valle.models.arch.attention.unpadded import by_rows


def sdpa(query: Tensor, key: Tensor, value: Tensor, mask: Mask) -> Tensor:
    """Let torch choose the kernel of its scaled_dot_product_attention."""
    keep, causal = mask.keep, mask.causal
    if causal and query.shape[2] != key.shape[2]:
        keep, causal = mask.dense(query, key), False  # torch would align the first query with the first key
    return functional.scaled_dot_product_attention(query, key, value, attn_mask=keep, is_causal=causal)


def math(query: Tensor, key: Tensor, value: Tensor, mask: Mask) -> Tensor:
    """Compute torch's scaled_dot_product_attention without a fused kernel."""
    with sdpa_kernel(SDPBackend.MATH):
        return sdpa(query, key, value, mask)


def mem_efficient(query: Tensor, key: Tensor, value: Tensor, mask: Mask) -> Tensor:
    """Insist on torch's memory-efficient kernel."""
    with sdpa_kernel(SDPBackend.EFFICIENT_ATTENTION):
        return sdpa(query, key, value, mask)


def flash(query: Tensor, key: Tensor, value: Tensor, mask: Mask) -> Tensor:
    """Insist on torch's flash kernel."""
    return by_rows(_flash, query, key, value, mask)


def cudnn(query: Tensor, key: Tensor, value: Tensor, mask: Mask) -> Tensor:
    """Insist on cuDNN's kernel."""
    return by_rows(_cudnn, query, key, value, mask)


def _flash(query: Tensor, key: Tensor, value: Tensor, causal: bool) -> Tensor:
    """The flash kernel on rows that are whole."""
    queries, keys = query.shape[2], key.shape[2]
    square = causal and queries == keys
    bias = _aligned(query, key) if causal and 1 < queries < keys else None
    with sdpa_kernel(SDPBackend.FLASH_ATTENTION):
        return functional.scaled_dot_product_attention(query, key, value, attn_mask=bias, is_causal=square)


def _cudnn(query: Tensor, key: Tensor, value: Tensor, causal: bool) -> Tensor:
    """cuDNN's kernel on rows that are whole; it aligns the first query with the first key, so that there are
    queries of zeros for the keys in front."""
    queries, keys = query.shape[2], key.shape[2]
    causal = causal and queries > 1
    if causal:
        query = pad(query, (0, 0, keys - queries, 0))
    with sdpa_kernel(SDPBackend.CUDNN_ATTENTION):
        answer = functional.scaled_dot_product_attention(query, key, value, is_causal=causal)
    return answer[:, :, -queries:]


def _aligned(query: Tensor, key: Tensor) -> Tensor:
    """What aligns the ends of queries and keys: on a GPU a sign that its kernels understand, else a mask."""
    if query.device.type == "cpu":
        return Mask(causal=True).dense(query, key)
    from torch.nn.attention.bias import causal_lower_right

    return causal_lower_right(query.shape[2], key.shape[2])


def flex(query: Tensor, key: Tensor, value: Tensor, mask: Mask) -> Tensor:
    """Compute torch's flex_attention: compiled on a GPU, as written on the CPU.

    Raises UserError where gradients are wanted on the CPU.
    """
    if query.device.type == "cpu" and torch.is_grad_enabled() and query.requires_grad:
        raise UserError("The attention backend flex has no gradients on the CPU; train there with sdpa.")
    if query.device.type == "cpu":
        query, key, value = query.detach(), key.detach(), value.detach()
    rows, queries, keys = len(query), query.shape[2], key.shape[2]
    blocks = mask.once("flex", lambda: _block_mask(mask, rows, queries, keys, query.device))
    return _flex(query.device.type)(query, key, value, block_mask=blocks)


@cache
def _flex(device: str) -> Callable[..., Any]:
    from torch.nn.attention.flex_attention import flex_attention

    plain: Callable[..., Any] = flex_attention
    return plain if device == "cpu" else torch.compile(plain, dynamic=True)


def _block_mask(mask: Mask, rows: int, queries: int, keys: int, device: torch.device) -> Any:
    from torch.nn.attention.flex_attention import create_block_mask

    if mask.keep is None and not mask.causal:
        return None
    spans = torch.tensor(mask.spans(rows, keys), dtype=torch.int64, device=device)
    before = keys - queries

    def seen(row: Tensor, head: Tensor, query: Tensor, key: Tensor) -> Tensor:
        start, end, causal = spans[row, 0], spans[row, 1], spans[row, 2]
        place = query + before
        own = (key >= start) & (key < end) & ((causal == 0) | (key <= place))
        return own | (key == place)

    return create_block_mask(seen, rows, None, queries, keys, device=device)
