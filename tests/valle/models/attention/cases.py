"""Queries, keys and masks of all kinds, small."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from valle.models.arch.attention import Mask, Span, find

KEYS = 7
SHAPES = ("full", "causal", "padded")
QUERIES = (7, 3, 1)
"""A whole pass, a few positions behind a cache, and one."""


@dataclass(frozen=True, eq=False)
class Case:
    """One call, and which queries are no padding, [R, Tq]."""

    query: Tensor
    key: Tensor
    value: Tensor
    mask: Mask
    live: Tensor

    def tensors(self) -> tuple[Tensor, Tensor, Tensor]:
        return self.query, self.key, self.value


def case(shape: str, queries: int, dtype: torch.dtype = torch.float32, width: int = 8) -> Case:
    """Three rows of two heads. Padding is in front and behind; one row of the padded case sees ahead."""
    torch.manual_seed(queries)
    query, key, value = (
        torch.randn(3, 2, length, width, dtype=dtype, requires_grad=True) for length in (queries, KEYS, KEYS)
    )
    spans = (Span(0, KEYS, True), Span(2, KEYS, False), Span(3, KEYS - 1 if queries > 1 else KEYS, True))
    places = torch.arange(queries) + KEYS - queries
    live = torch.ones(3, queries, dtype=torch.bool)
    mask = Mask(causal=shape == "causal")
    if shape == "padded":
        live = torch.stack([(places >= span.start) & (places < span.end) for span in spans])
        mask = Mask(keep=torch.stack([_keep(span, places) for span in spans])[:, None], rows=spans)
    return Case(query, key, value, mask, live)


def _keep(span: Span, places: Tensor) -> Tensor:
    keys, own = torch.arange(KEYS)[None], places[:, None]
    seen = (keys >= span.start) & (keys < span.end) & (keys <= own if span.causal else keys >= 0)
    return seen | (keys == own)


def difference(name: str, found: Case, attend: object = None) -> Iterator[float]:
    """The largest differences from `math` of the answer, and of the gradients where they are wanted."""
    attend = attend or find(name)
    weight = torch.randn_like(found.query) * found.live[:, None, :, None]
    answers = [call(*found.tensors(), found.mask) for call in (find("math"), attend)]  # type: ignore[operator]
    yield float(((answers[0] - answers[1]) * found.live[:, None, :, None]).abs().max().detach())
    if found.query.requires_grad:
        wanted, got = (torch.autograd.grad((each * weight).sum(), found.tensors()) for each in answers)
        yield from (float((one - other).abs().max()) for one, other in zip(wanted, got, strict=True))
