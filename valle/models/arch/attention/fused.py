"""Our own attention kernel in Triton: one pass over the keys, forward and backward, sums in float32.

The algorithm is that of FlashAttention-2 (arXiv 2307.08691). Each row of a batch has its own span of keys and
is causal or not, so padded and mixed batches need neither a mask nor unpadding. Runs on the CPU too where
TRITON_INTERPRET=1 was set before this module was imported; slowly, to be tested.
"""

from __future__ import annotations

from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor

from valle.errors import UserError
from valle.models.arch.attention.mask import Mask

_NARROWEST = 16  # the least that tl.dot multiplies
_WIDEST = 256


def fused(query: Tensor, key: Tensor, value: Tensor, mask: Mask) -> Tensor:
    """Compute attention; see the module. Raises UserError for heads wider than 256."""
    if query.shape[-1] > _WIDEST:
        raise UserError(f"The attention backend fused takes heads up to {_WIDEST}, not {query.shape[-1]}.")
    rows, keys = len(query), key.shape[2]
    spans = mask.once(
        "fused", lambda: torch.tensor(mask.spans(rows, keys), dtype=torch.int32, device=query.device)
    )
    return _Fused.apply(query, key, value, spans)


class _Fused(torch.autograd.Function):
    @staticmethod
    def forward(context: Any, query: Tensor, key: Tensor, value: Tensor, spans: Tensor) -> Tensor:
        query, key, value = (each.contiguous() for each in (query, key, value))
        rows, heads, queries, width = query.shape
        answer = torch.empty_like(query)
        sums = torch.empty(rows, heads, queries, dtype=torch.float32, device=query.device)
        block_q, block_k = _blocks(width, queries)
        _forward[(triton.cdiv(queries, block_q), rows * heads)](
            query,
            key,
            value,
            answer,
            sums,
            spans,
            heads,
            queries,
            key.shape[2],
            width**-0.5,
            WIDTH=width,
            PADDED=_padded(width),
            BLOCK_Q=block_q,
            BLOCK_K=block_k,
        )
        context.save_for_backward(query, key, value, answer, sums, spans)
        return answer

    @staticmethod
    def backward(context: Any, *gradients: Any) -> tuple[Tensor | None, ...]:
        query, key, value, answer, sums, spans = context.saved_tensors
        (gradient,) = gradients
        gradient = gradient.contiguous()
        rows, heads, queries, width = query.shape
        keys = key.shape[2]
        inner = (answer.float() * gradient.float()).sum(-1)
        to_query, to_key, to_value = (torch.empty_like(each) for each in (query, key, value))
        block = _blocks(width, queries)[1]
        common = (heads, queries, keys, width**-0.5)
        sizes = {"WIDTH": width, "PADDED": _padded(width), "BLOCK_Q": block, "BLOCK_K": block}
        _backward_keys[(triton.cdiv(keys, block), rows * heads)](
            query, key, value, gradient, sums, inner, to_key, to_value, spans, *common, **sizes
        )
        _backward_queries[(triton.cdiv(queries, block), rows * heads)](
            query, key, value, gradient, sums, inner, to_query, spans, *common, **sizes
        )
        return to_query, to_key, to_value, None


def _padded(width: int) -> int:
    return max(_NARROWEST, triton.next_power_of_2(width))


def _blocks(width: int, queries: int) -> tuple[int, int]:
    """Queries and keys of one block: few where heads are wide, since all of it stays in fast memory."""
    keys = 64 if width <= 64 else 32
    return min(2 * keys, max(_NARROWEST, triton.next_power_of_2(queries))), keys


@triton.jit
def _tile(pointer, places, length, channels, WIDTH: tl.constexpr):
    """Load places [N] of a contiguous [length, WIDTH], zero where there is nothing."""
    inside = (places[:, None] < length) & (channels[None, :] < WIDTH)
    return tl.load(pointer + places[:, None] * WIDTH + channels[None, :], mask=inside, other=0.0)


@triton.jit
def _store(pointer, places, length, channels, values, WIDTH: tl.constexpr):
    inside = (places[:, None] < length) & (channels[None, :] < WIDTH)
    tl.store(pointer + places[:, None] * WIDTH + channels[None, :], values, mask=inside)


@triton.jit
def _seen(at_query, at_key, start, end, causal):
    """Which keys [K] each query [Q] sees, both counted from the first key."""
    inside = (at_key[None, :] >= start) & (at_key[None, :] < end)
    return inside & ((causal == 0) | (at_key[None, :] <= at_query[:, None]))


@triton.jit
def _forward(
    query,
    key,
    value,
    answer,
    sums,
    spans,
    heads,
    queries,
    keys,
    scale,
    WIDTH: tl.constexpr,
    PADDED: tl.constexpr,
    BLOCK_Q: tl.constexpr,
    BLOCK_K: tl.constexpr,
):
    pair = tl.program_id(1).to(tl.int64)
    row = pair // heads
    start, end, causal = tl.load(spans + row * 3), tl.load(spans + row * 3 + 1), tl.load(spans + row * 3 + 2)
    channels = tl.arange(0, PADDED)
    own = tl.program_id(0) * BLOCK_Q + tl.arange(0, BLOCK_Q)
    at_query = own + keys - queries
    asked = _tile(query + pair * queries * WIDTH, own, queries, channels, WIDTH)
    best = tl.full([BLOCK_Q], float("-inf"), tl.float32)
    total = tl.zeros([BLOCK_Q], tl.float32)
    gathered = tl.zeros([BLOCK_Q, PADDED], tl.float32)
    last = end
    if causal != 0:
        last = tl.minimum(end, (tl.program_id(0) + 1) * BLOCK_Q + keys - queries)
    for first in range(start, last, BLOCK_K):
        at_key = first + tl.arange(0, BLOCK_K)
        there = _tile(key + pair * keys * WIDTH, at_key, keys, channels, WIDTH)
        scores = tl.dot(asked, tl.trans(there), input_precision="ieee") * scale
        scores = tl.where(_seen(at_query, at_key, start, end, causal), scores, float("-inf"))
        higher = tl.maximum(best, tl.max(scores, 1))
        level = tl.where(higher == float("-inf"), 0.0, higher)
        weights = tl.exp(scores - level[:, None])
        fading = tl.exp(best - level)
        total = total * fading + tl.sum(weights, 1)
        what = _tile(value + pair * keys * WIDTH, at_key, keys, channels, WIDTH)
        gathered = gathered * fading[:, None]
        gathered += tl.dot(weights.to(what.dtype), what, input_precision="ieee")
        best = higher
    nothing = total == 0.0
    gathered = gathered / tl.where(nothing, 1.0, total)[:, None]
    _store(answer + pair * queries * WIDTH, own, queries, channels, gathered.to(asked.dtype), WIDTH)
    logarithm = tl.where(nothing, 0.0, best + tl.log(tl.where(nothing, 1.0, total)))
    tl.store(sums + pair * queries + own, logarithm, mask=own < queries)


@triton.jit
def _backward_keys(
    query,
    key,
    value,
    gradient,
    sums,
    inner,
    to_key,
    to_value,
    spans,
    heads,
    queries,
    keys,
    scale,
    WIDTH: tl.constexpr,
    PADDED: tl.constexpr,
    BLOCK_Q: tl.constexpr,
    BLOCK_K: tl.constexpr,
):
    pair = tl.program_id(1).to(tl.int64)
    row = pair // heads
    start, end, causal = tl.load(spans + row * 3), tl.load(spans + row * 3 + 1), tl.load(spans + row * 3 + 2)
    channels = tl.arange(0, PADDED)
    at_key = tl.program_id(0) * BLOCK_K + tl.arange(0, BLOCK_K)
    there = _tile(key + pair * keys * WIDTH, at_key, keys, channels, WIDTH)
    what = _tile(value + pair * keys * WIDTH, at_key, keys, channels, WIDTH)
    of_key = tl.zeros([BLOCK_K, PADDED], tl.float32)
    of_value = tl.zeros([BLOCK_K, PADDED], tl.float32)
    begin = 0
    if causal != 0:
        begin = tl.maximum(0, tl.program_id(0) * BLOCK_K - (keys - queries)) // BLOCK_Q * BLOCK_Q
    for first in range(begin, queries, BLOCK_Q):
        own = first + tl.arange(0, BLOCK_Q)
        asked = _tile(query + pair * queries * WIDTH, own, queries, channels, WIDTH)
        back = _tile(gradient + pair * queries * WIDTH, own, queries, channels, WIDTH)
        logarithm = tl.load(sums + pair * queries + own, mask=own < queries, other=0.0)
        product = tl.load(inner + pair * queries + own, mask=own < queries, other=0.0)
        seen = _seen(own + keys - queries, at_key, start, end, causal) & (own[:, None] < queries)
        scores = tl.dot(asked, tl.trans(there), input_precision="ieee") * scale
        weights = tl.where(seen, tl.exp(scores - logarithm[:, None]), 0.0)
        of_value += tl.dot(tl.trans(weights.to(back.dtype)), back, input_precision="ieee")
        slope = weights * (tl.dot(back, tl.trans(what), input_precision="ieee") - product[:, None]) * scale
        of_key += tl.dot(tl.trans(slope.to(asked.dtype)), asked, input_precision="ieee")
    _store(to_key + pair * keys * WIDTH, at_key, keys, channels, of_key.to(there.dtype), WIDTH)
    _store(to_value + pair * keys * WIDTH, at_key, keys, channels, of_value.to(what.dtype), WIDTH)


@triton.jit
def _backward_queries(
    query,
    key,
    value,
    gradient,
    sums,
    inner,
    to_query,
    spans,
    heads,
    queries,
    keys,
    scale,
    WIDTH: tl.constexpr,
    PADDED: tl.constexpr,
    BLOCK_Q: tl.constexpr,
    BLOCK_K: tl.constexpr,
):
    pair = tl.program_id(1).to(tl.int64)
    row = pair // heads
    start, end, causal = tl.load(spans + row * 3), tl.load(spans + row * 3 + 1), tl.load(spans + row * 3 + 2)
    channels = tl.arange(0, PADDED)
    own = tl.program_id(0) * BLOCK_Q + tl.arange(0, BLOCK_Q)
    asked = _tile(query + pair * queries * WIDTH, own, queries, channels, WIDTH)
    back = _tile(gradient + pair * queries * WIDTH, own, queries, channels, WIDTH)
    logarithm = tl.load(sums + pair * queries + own, mask=own < queries, other=0.0)
    product = tl.load(inner + pair * queries + own, mask=own < queries, other=0.0)
    of_query = tl.zeros([BLOCK_Q, PADDED], tl.float32)
    last = end
    if causal != 0:
        last = tl.minimum(end, (tl.program_id(0) + 1) * BLOCK_Q + keys - queries)
    for first in range(start, last, BLOCK_K):
        at_key = first + tl.arange(0, BLOCK_K)
        there = _tile(key + pair * keys * WIDTH, at_key, keys, channels, WIDTH)
        what = _tile(value + pair * keys * WIDTH, at_key, keys, channels, WIDTH)
        seen = _seen(own + keys - queries, at_key, start, end, causal)
        scores = tl.dot(asked, tl.trans(there), input_precision="ieee") * scale
        weights = tl.where(seen, tl.exp(scores - logarithm[:, None]), 0.0)
        slope = weights * (tl.dot(back, tl.trans(what), input_precision="ieee") - product[:, None]) * scale
        of_query += tl.dot(slope.to(there.dtype), there, input_precision="ieee")
    _store(to_query + pair * queries * WIDTH, own, queries, channels, of_query.to(asked.dtype), WIDTH)
