"""Attention of other packages, each behind the same call; none of them is needed.

Their layout is [R, T, H, d]. The calls are those of flash-attention 1.0 and 2.x (Dao-AILab), of its port to
Volta cards (flash_attn_v100) and of xformers 0.0.2x.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from valle.errors import UserError
from valle.models.arch.attention.mask import Mask
from valle.models.arch.attention.unpadded import Packed, by_rows, end_to_end

_VOLTA_HEAD, _VOLTA_BLOCK = 128, 32
_VOLTA_UNSEEN = -60_000.0  # the largest that float16 holds, about


def flash_attention_2(query: Tensor, key: Tensor, value: Tensor, mask: Mask) -> Tensor:
    """Compute version 2 of flash-attention; it aligns the ends of queries and keys itself (2.1 and later)."""
    package = import_module("flash_attn")
    if mask.keep is not None:
        return end_to_end(_packed_2, query, key, value, mask)
    answer = package.flash_attn_func(*_time_first(query, key, value), causal=mask.causal)
    return answer.transpose(1, 2)


def flash_attn(query: Tensor, key: Tensor, value: Tensor, mask: Mask) -> Tensor:
    """Compute flash-attention by whichever version is installed."""
    if hasattr(import_module("flash_attn"), "flash_attn_func"):
        return flash_attention_2(query, key, value, mask)
    return end_to_end(_packed_1, query, key, value, mask)


def flash_attn_v100(query: Tensor, key: Tensor, value: Tensor, mask: Mask) -> Tensor:
    """Compute the port of flash-attention to Volta cards.

    Raises UserError for heads that are too wide for it.
    """
    if query.shape[-1] >= _VOLTA_HEAD:
        raise UserError(
            f"The attention backend flash_attn_v100 takes heads narrower than {_VOLTA_HEAD}, not "
            f"{query.shape[-1]}; use sdpa."
        )
    return by_rows(_volta, query, key, value, mask)


def xformers(query: Tensor, key: Tensor, value: Tensor, mask: Mask) -> Tensor:
    """Compute the memory-efficient attention of xformers."""
    return by_rows(_xformers, query, key, value, mask)


def _packed_2(query: Packed, key: Packed, value: Packed, causal: bool) -> Tensor:
    return import_module("flash_attn").flash_attn_varlen_func(
        query.tokens,
        key.tokens,
        value.tokens,
        cu_seqlens_q=query.ends,
        cu_seqlens_k=key.ends,
        max_seqlen_q=query.longest,
        max_seqlen_k=key.longest,
        causal=causal,
    )


def _packed_1(query: Packed, key: Packed, value: Packed, causal: bool) -> Tensor:
    """Version 1 aligns the first query with the first key: it gets queries for all keys."""
    squared = _squared(query, key) if causal else query
    answer = import_module("flash_attn.flash_attn_interface").flash_attn_unpadded_func(
        squared.tokens,
        key.tokens,
        value.tokens,
        squared.ends,
        key.ends,
        squared.longest,
        key.longest,
        0.0,
        causal=causal,
    )
    return answer if squared is query else answer[_places(query, key)]


def _squared(query: Packed, key: Packed) -> Packed:
    """Queries with zeros in front of each row, so that it has as many as keys."""
    if len(query.tokens) == len(key.tokens):
        return query
    tokens = torch.zeros_like(key.tokens).index_copy(0, _places(query, key), query.tokens)
    return Packed(tokens, key.ends, key.longest)


def _places(query: Packed, key: Packed) -> Tensor:
    """Where the queries stand among the keys of all rows, [N]."""
    lengths = query.ends.diff().tolist()
    ends = key.ends[1:].tolist()
    places = [torch.arange(end - length, end) for length, end in zip(lengths, ends, strict=True)]
    return torch.cat(places).to(key.tokens.device)


def _volta(query: Tensor, key: Tensor, value: Tensor, causal: bool) -> Tensor:
    """It takes heads of 128, lengths of whole blocks of 32, as many queries as keys: the rest is zeros.

    Keys behind the end are kept out of rows that see everything by one channel more of query and key.
    """
    queries, keys, width = query.shape[2], key.shape[2], query.shape[3]
    behind, channels = -keys % _VOLTA_BLOCK, _VOLTA_HEAD - width
    padding = (0, channels, keys - queries, behind)
    query, scale = functional.pad(query, padding), width**-0.5
    key, value = (functional.pad(each, (0, channels, 0, behind)) for each in (key, value))
    if behind and not causal:
        query[..., width] = 1.0
        key[:, :, keys:, width] = _VOLTA_UNSEEN
    answer = import_module("flash_attn_v100").flash_attn_func(*_time_first(query, key, value), scale, causal)
    return answer.transpose(1, 2)[:, :, keys - queries : keys, :width]


def _xformers(query: Tensor, key: Tensor, value: Tensor, causal: bool) -> Tensor:
    ops = import_module("xformers.ops")
    bias: Any = None
    if causal and query.shape[2] > 1:
        bias = import_module("xformers.ops.fmha.attn_bias").LowerTriangularFromBottomRightMask()
    answer = ops.memory_efficient_attention(*_time_first(query, key, value), attn_bias=bias)
    return answer.transpose(1, 2)


def _time_first(*tensors: Tensor) -> tuple[Tensor, ...]:
    return tuple(tensor.transpose(1, 2).contiguous() for tensor in tensors)
