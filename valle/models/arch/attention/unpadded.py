"""Padded batches for kernels that take no mask: row by row, or all rows end to end."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from valle.models.arch.attention.mask import Mask, Span

Unmasked = Callable[[Tensor, Tensor, Tensor, bool], Tensor]
"""Query [R, H, Tq, d], key and value [R, H, Tk, d], and whether it is causal, their ends being aligned."""


@dataclass(frozen=True, eq=False)
class Packed:
    """Rows end to end: tokens [N, H, d], where each row begins and the last one ends [R + 1], the longest."""

    tokens: Tensor
    ends: Tensor
    longest: int


PackedUnmasked = Callable[[Packed, Packed, Packed, bool], Tensor]


def by_rows(attend: Unmasked, query: Tensor, key: Tensor, value: Tensor, mask: Mask) -> Tensor:
    """Answer a batch; where its rows are padded each one is computed alone, and padding is answered by 0."""
    if mask.keep is None:
        return attend(query, key, value, mask.causal)
    gathered = torch.zeros_like(query, dtype=value.dtype)
    for row, span in enumerate(mask.spans(len(query), key.shape[2])):
        own, keys = query_slice(span, query, key), slice(span.start, span.end)
        one = slice(row, row + 1)
        gathered[one, :, own] = attend(
            query[one, :, own], key[one, :, keys], value[one, :, keys], span.causal
        )
    return gathered


def end_to_end(attend: PackedUnmasked, query: Tensor, key: Tensor, value: Tensor, mask: Mask) -> Tensor:
    """Answer a padded batch in one call, or in two where some rows are causal; padding is answered by 0."""
    spans = mask.spans(len(query), key.shape[2])
    gathered = torch.zeros_like(query, dtype=value.dtype)
    for causal in sorted({span.causal for span in spans}):
        rows = [row for row, span in enumerate(spans) if span.causal == causal]
        own = [query_slice(spans[row], query, key) for row in rows]
        keys = [slice(spans[row].start, spans[row].end) for row in rows]
        packed = (pack(query, rows, own), pack(key, rows, keys), pack(value, rows, keys))
        answers = attend(*packed, causal).split([len(range(*each.indices(query.shape[2]))) for each in own])
        for row, each, answer in zip(rows, own, answers, strict=True):
            gathered[row, :, each] = answer.transpose(0, 1)
    return gathered


def pack(tensor: Tensor, rows: Sequence[int], places: Sequence[slice]) -> Packed:
    """Lay places of rows of [R, H, T, d] end to end."""
    parts = [tensor[row, :, each].transpose(0, 1) for row, each in zip(rows, places, strict=True)]
    lengths = torch.tensor([len(part) for part in parts], dtype=torch.int32)
    ends = torch.nn.functional.pad(lengths.cumsum(0, dtype=torch.int32), (1, 0)).to(tensor.device)
    return Packed(torch.cat(parts), ends, int(lengths.max()))


def query_slice(span: Span, query: Tensor, key: Tensor) -> slice:
    """Which of the queries, the last ones of the keys, belong to the span."""
    before = key.shape[2] - query.shape[2]
    return slice(max(span.start - before, 0), max(span.end - before, 0))
