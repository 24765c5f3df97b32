"""The side channel on attention: whoever wants to see queries and keys gets them, and changes nothing."""

from __future__ import annotations

from typing import Protocol

from torch import Tensor


class Observer(Protocol):
    """What a backbone shows to guided attention, attention maps and attention measures."""

    def attention(self, layer: int, query: Tensor, key: Tensor) -> None:
        """Take the query [R, H, Tq, d] and all keys [R, H, Tk, d] of a layer, both after rotary."""


class Both:
    """Two observers of the same pass."""

    def __init__(self, first: Observer, second: Observer) -> None:
        self._observers = (first, second)

    def attention(self, layer: int, query: Tensor, key: Tensor) -> None:
        """Show the layer to both."""
        for observer in self._observers:
            observer.attention(layer, query, key)
