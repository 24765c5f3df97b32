"""The state of a backbone without a cache of keys: of one size however long the past, and kept as it goes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Self

import torch
from torch import Tensor

KEPT_EVERY = 75
"""Positions between two states that are kept: one second."""

Again = Callable[[Tensor, Tensor, "RecurrentState"], object]
"""Takes one position of all rows, embeddings [R, 1, D] at positions [R, 1], into a state."""


class RecurrentState:
    """Tensors [R, ...] that hold all there is of the past.

    To go back it starts from the last state that was kept before and takes the positions after it in again,
    one at a time as they came, so that the result is the same to the last bit. What was there when the first
    single position came is kept always; there is no way back beyond it.
    """

    def __init__(self, tensors: Sequence[Tensor], inputs: Tensor, places: Tensor, again: Again) -> None:
        """`inputs` [R, capacity, D] and `places` [R, capacity] have room for what is taken in."""
        self.tensors = list(tensors)
        self.length = 0
        self._inputs, self._places, self._again = inputs, places, again
        self._kept: dict[int, list[Tensor]] = {}

    @classmethod
    def allocate(cls, tensors: Sequence[Tensor], capacity: int, like: Tensor, again: Again) -> Self:
        """Return a state that begins as `tensors`, with inputs like the weight `like` [D]."""
        rows = tensors[0].shape[0]
        places = torch.empty(rows, capacity, dtype=torch.long, device=like.device)
        return cls(tensors, like.new_empty(rows, capacity, len(like)), places, again)

    @property
    def device(self) -> torch.device:
        """Where it is."""
        return self.tensors[0].device

    @property
    def memory(self) -> int:
        """Bytes held."""
        states = [self.tensors, *self._kept.values(), [self._inputs, self._places]]
        return sum(each.numel() * each.element_size() for tensors in states for each in tensors)

    def advance(self, hidden: Tensor, positions: Tensor) -> None:
        """Count what the tensors have taken in: hidden [R, T, D] at positions [R, T].

        Several positions at once are a beginning; from there on they come one by one.
        """
        if hidden.shape[1] == 1 and self._kept:
            self._inputs[:, self.length] = hidden[:, 0]
            self._places[:, self.length] = positions[:, 0]
        self.length += hidden.shape[1]
        if hidden.shape[1] > 1 or not self._kept:
            self._kept = {self.length: self._copied()}
        elif (self.length - min(self._kept)) % KEPT_EVERY == 0:
            self._kept[self.length] = self._copied()

    def fork(self, length: int) -> Self:
        """Return an independent state of the first `length` positions, with the same capacity."""
        other = self._like(self._copied(), self._inputs.clone(), self._places.clone())
        other.length = self.length
        other._kept = dict(self._kept)
        other.restore(length)
        return other

    def snapshot(self) -> Self:
        """Return an independent state of all positions so far."""
        return self.fork(self.length)

    @torch.inference_mode()
    def restore(self, length: int) -> None:
        """Go back to the first `length` positions.

        Raises ValueError for a length before the first single position.
        """
        if length == self.length:
            return
        before = [kept for kept in self._kept if kept <= length]
        if not before or length > self.length:
            first = min(self._kept, default=self.length)
            raise ValueError(f"the state has the positions from {first} to {self.length}, not {length}")
        self._kept = {kept: self._kept[kept] for kept in before}
        self.length = max(before)
        self.tensors = [tensor.clone() for tensor in self._kept[self.length]]
        for place in range(self.length, length):
            self._again(self._inputs[:, place : place + 1], self._places[:, place : place + 1], self)

    def crop(self, length: int) -> None:
        """Go back to the first `length` positions, as a cache of keys does by cutting its end off."""
        self.restore(length)

    def rows(self, indices: Tensor) -> Self:
        """Return an independent state of the rows picked, in that order."""
        other = self._like(self._copied(), self._inputs, self._places)
        other.length = self.length
        other._kept = dict(self._kept)
        other.select(indices)
        return other

    def select(self, indices: Tensor) -> None:
        """Go on with the rows picked, in that order."""
        indices = indices.to(self.device)
        self.tensors = [tensor[indices] for tensor in self.tensors]
        self._inputs, self._places = self._inputs[indices], self._places[indices]
        self._kept = {length: [each[indices] for each in kept] for length, kept in self._kept.items()}

    def beside(self, other: Self, room: int) -> Self:
        """Return an independent state of the rows of both, with room for more positions.

        It does not go back beyond now.
        """
        length = max(self.length, other.length)
        tensors = [torch.cat(pair) for pair in zip(self.tensors, other.tensors, strict=True)]
        rows, capacity = len(tensors[0]), length + room
        inputs = self._inputs.new_empty(rows, capacity, self._inputs.shape[-1])
        both = self._like(tensors, inputs, self._places.new_empty(rows, capacity))
        both.length = length
        both._kept = {length: both._copied()}
        return both

    def _like(self, tensors: Sequence[Tensor], inputs: Tensor, places: Tensor) -> Self:
        return type(self)(tensors, inputs, places, self._again)

    def _copied(self) -> list[Tensor]:
        return [tensor.clone() for tensor in self.tensors]


def present_keys(keep: Tensor | None) -> Tensor | None:
    """Return which positions are no padding, [R, T], from a mask `keep` [R, 1, T, T] whose last query sees
    all that there is; None where there is no padding in front."""
    return None if keep is None else keep[:, 0, -1, :]
