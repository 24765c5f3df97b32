"""A text that is read forward: attention that goes on by two symbols at most from one frame to the next.

Forward attention, Zhang, Ling and Dai, "Forward attention in sequence-to-sequence acoustic modeling for
speech synthesis" (2018). A head that finds its place in the text by what was heard last jumps to where the
same sounds occur again; the places that it may look at are therefore those next to where it looked before.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Self

import torch
from torch import Tensor
from torch.nn import functional

LEAST = 1e-4
"""What is added to each symbol's share before the step, so that a place is never lost for good."""
SKIP = 0.3
"""How readily a symbol is passed over, beside staying and going on by one."""
_TINY = 1e-30


class Text(NamedTuple):
    """Where a row has its text and, behind it, the first query that answers with a frame."""

    start: int
    end: int
    first: int


class Reading:
    """How far each row of a batch has read, in the layers that read forward.

    symbols: the key of every symbol [R, N]; there: which of them exist, bool [R, N]; first: the first query
    that answers [R]. places: the shares of the symbols, [layers, R, keys, N], where a later pass goes on.
    """

    def __init__(
        self,
        layers: Sequence[int],
        symbols: Tensor,
        there: Tensor,
        first: Tensor,
        places: Tensor | None = None,
    ) -> None:
        self._layers = tuple(layers)
        self._symbols, self._there, self._first, self._places = symbols, there, first, places
        count = symbols.shape[1]
        self._reach = _reach(count, symbols.device)
        self._start = functional.pad(torch.ones_like(symbols[:, :1], dtype=torch.float32), (0, count - 1))
        self._earliest, self._latest = int(first.min()), int(first.max())
        begin = int(symbols[0, 0])
        alike = bool(there.all()) and bool((symbols[:, 0] == begin).all())
        self._common = slice(begin, begin + count) if alike else None

    @classmethod
    def of(cls, texts: Sequence[Text | None], layers: Sequence[int], device: torch.device) -> Self:
        """Return the reading of rows that begins; a row without a text attends as ever."""
        spans = [Text(0, 0, 0) if text is None else text for text in texts]
        longest = max(1, *(span.end - span.start for span in spans))
        offsets = torch.arange(longest)
        starts, ends, first = (torch.tensor(numbers) for numbers in zip(*spans, strict=True))
        there = offsets < (ends - starts)[:, None]
        symbols = torch.where(there, starts[:, None] + offsets, 0)
        return cls(layers, symbols.to(device), there.to(device), first.to(device))

    @property
    def memory(self) -> int:
        """Bytes held."""
        return 0 if self._places is None else self._places.numel() * self._places.element_size()

    def reads(self, layer: int) -> bool:
        """Whether the first head of a layer reads forward."""
        return layer in self._layers

    def kept(self, capacity: int) -> Self:
        """Return the same with room for the places of so many keys, so that later passes go on from them."""
        shape = (len(self._layers), len(self._first), capacity, self._symbols.shape[1])
        return self._with(places=torch.zeros(shape, device=self._symbols.device))

    def gather(self, layer: int, query: Tensor, key: Tensor, value: Tensor, seen: Tensor | None) -> Tensor:
        """Return what one head gathers, [R, Tq, d]; queries [R, Tq, d] are the last of the keys [R, Tk, d].

        seen: bool [R or 1, Tq, Tk]. What a row attends to besides its text, and how much, stays as it is.
        """
        scores = (query @ key.transpose(-2, -1)).float() * query.shape[-1] ** -0.5
        if seen is not None:
            scores = scores.masked_fill(~seen, -torch.inf)
        weights = scores.softmax(-1)
        queries, keys = weights.shape[1:]
        begin, span = keys - queries, self._common
        if span is not None:
            held = self._held(layer, weights[..., span], begin)
            return weights.slice_scatter(held, -1, span.start, span.stop).to(value.dtype) @ value
        symbols = self._symbols[:, None].expand(-1, queries, -1)
        missing = ~self._there[:, None]
        own = weights.gather(-1, symbols).masked_fill(missing, 0.0)
        moved = (self._held(layer, own, begin, missing) - own).masked_fill(missing, 0.0)
        return weights.scatter_add(-1, symbols, moved).to(value.dtype) @ value

    def _held(self, layer: int, own: Tensor, begin: int, missing: Tensor | None = None) -> Tensor:
        """Return how much queries from `begin` on attend to the symbols [R, Tq, N] when they read forward.

        own: how much they would by themselves; missing: which symbols do not exist, [R, 1, N].
        """
        mass = own.sum(-1, keepdim=True)
        looks = torch.add(own, mass, alpha=LEAST)
        looks = looks if missing is None else looks.masked_fill(missing, 0.0)
        held = self._follow(layer, looks, begin) * mass
        if begin >= self._latest:
            return held
        answering = torch.arange(begin, begin + own.shape[1], device=own.device) >= self._first[:, None]
        return torch.where(answering.unsqueeze(-1), held, own)

    def _follow(self, layer: int, looks: Tensor, begin: int) -> Tensor:
        """Return the shares [R, Tq, N] of queries from `begin` on that look at symbols [R, Tq, N].

        The shares of a query are those of the one before, each passed on to the symbol and to the next two,
        times what the query looks at. Gradients go through the looks alone.
        """
        with torch.no_grad():
            known = None if self._places is None else self._places[self._layers.index(layer)]
            share = self._start if known is None or not begin else known[:, begin - 1]
            skipped = min(max(0, self._earliest - begin), looks.shape[1])
            reached, shares = [self._start] * skipped, [self._start] * skipped
            for number in range(skipped, looks.shape[1]):
                if begin + number <= self._latest:
                    share = torch.where((self._first < begin + number)[:, None], share, self._start)
                reached.append(share @ self._reach)
                share = _normalised(reached[-1] * looks[:, number])
                shares.append(share)
                if known is not None:
                    known[:, begin + number] = share
        if looks.requires_grad:
            return _normalised(torch.stack(reached, 1) * looks)
        return torch.stack(shares, 1)

    def fork(self) -> Self:
        """Return an independent copy."""
        return self._with(places=None if self._places is None else self._places.clone())

    def rows(self, indices: Tensor) -> Self:
        """Return an independent reading of the rows picked, in that order."""
        indices = indices.to(self._symbols.device)
        return type(self)(
            self._layers,
            self._symbols[indices],
            self._there[indices],
            self._first[indices],
            None if self._places is None else self._places[:, indices],
        )

    def beside(self, other: Self, moved: tuple[int, int], capacity: int) -> Self:
        """Return an independent reading of the rows of both, their keys moved by so many, with more room."""
        width = max(part._symbols.shape[1] for part in (self, other))
        parts = [part._moved(by, width, capacity) for part, by in zip((self, other), moved, strict=True)]
        symbols, there, first = (
            torch.cat([getattr(part, name) for part in parts]) for name in ("_symbols", "_there", "_first")
        )
        places = torch.cat([part._places for part in parts if part._places is not None], 1)
        return type(self)(self._layers, symbols, there, first, places)

    def _moved(self, by: int, width: int, capacity: int) -> Self:
        wider = (0, width - self._symbols.shape[1])
        there = functional.pad(self._there, wider)
        symbols = torch.where(there, functional.pad(self._symbols, wider) + by, 0)
        places = None
        if self._places is not None:
            known = self._places[:, :, : capacity - by]
            places = functional.pad(known, (*wider, by, capacity - by - known.shape[2]))
        return type(self)(self._layers, symbols, there, self._first + by, places)

    def _with(self, places: Tensor | None) -> Self:
        return type(self)(self._layers, self._symbols, self._there, self._first, places)


def places(looks: Tensor, before: Tensor | None = None) -> Tensor:
    """Return where a head that reads forward is, shares [T, N] of the symbols, for queries in a row that look
    at the symbols so much [T, N].

    before: where it was [N] at the query before them; None where the first of them is the first that answers.
    """
    reach = _reach(looks.shape[1], looks.device)
    looks = looks + LEAST * looks.sum(-1, keepdim=True)
    share = torch.zeros_like(looks[0]).index_fill(0, torch.zeros(1, dtype=torch.long), 1.0)
    share = share if before is None else before
    found = []
    for look in looks:
        share = _normalised(share @ reach * look)
        found.append(share)
    return torch.stack(found)


def _normalised(shares: Tensor) -> Tensor:
    """Return shares [..., N] so that they sum to 1, or to 0 where there is none."""
    return shares / shares.sum(-1, keepdim=True).clamp_min(_TINY)


def _reach(count: int, device: torch.device) -> Tensor:
    """Return what each of so many symbols [N] passes on to each [N]: to itself and to the two after it."""
    there = torch.ones(count, count, device=device)
    return there.triu() * there.tril(2) - (1 - SKIP) * there.triu(2) * there.tril(2)
