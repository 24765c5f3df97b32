"""What a decoder remembers between steps: allocated once, forked and rewound by step."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, Self

import torch
from torch import Tensor

from valle.models.arch.reading import Reading
from valle.models.arch.stepping import Weights


class State(Protocol):
    """What a backbone keeps of the rows so far; lengths count from the beginning of the sequence."""

    length: int

    @property
    def device(self) -> torch.device:
        """Where it is."""

    @property
    def memory(self) -> int:
        """Bytes held."""

    def fork(self, length: int) -> Self:
        """Return an independent state of the first `length` positions."""

    def restore(self, length: int) -> None:
        """Go back to the first `length` positions."""

    def rows(self, indices: Tensor) -> Self:
        """Return an independent state of the rows picked, in that order."""

    def select(self, indices: Tensor) -> None:
        """Go on with the rows picked, in that order."""

    def beside(self, other: Self, room: int) -> Self:
        """Return an independent state of the rows of both, aligned at their ends, with room for more
        positions."""


class KeyValues:
    """Keys and values of all attention layers, allocated once: [layers, R, heads, capacity, head size].

    reading: how far the rows have read, where some heads read their text forward. blocks: what all of these
    keys and values come from, once a step has found it out.
    """

    def __init__(self, keys: Tensor, values: Tensor, length: int = 0, reading: Reading | None = None) -> None:
        self.keys = keys
        self.values = values
        self.length = length
        self.reading = reading
        self.blocks: tuple[Weights, ...] = ()

    @classmethod
    def allocate(cls, layers: int, rows: int, heads: int, capacity: int, head_dim: int, like: Tensor) -> Self:
        """Return an empty cache for `capacity` positions, in dtype and on the device of `like`."""
        keys, values = like.new_empty(2, layers, rows, heads, capacity, head_dim)
        return cls(keys, values)

    @property
    def device(self) -> torch.device:
        """Where it is."""
        return self.keys.device

    @property
    def capacity(self) -> int:
        """Positions that fit."""
        return self.keys.shape[3]

    @property
    def memory(self) -> int:
        """Bytes held."""
        own = 2 * self.keys.numel() * self.keys.element_size()
        return own + (0 if self.reading is None else self.reading.memory)

    def extend(self, layer: int, key: Tensor, value: Tensor) -> tuple[Tensor, Tensor]:
        """Write key and value [R, H, T, d] of a layer behind what is there; return all of them, as views.

        `length` moves on only with `advance`, when every layer has written.
        """
        count = key.shape[2]
        keys, values = self.keys[layer], self.values[layer]
        keys.narrow(2, self.length, count).copy_(key)
        values.narrow(2, self.length, count).copy_(value)
        return keys.narrow(2, 0, self.length + count), values.narrow(2, 0, self.length + count)

    def advance(self, count: int) -> None:
        """Count `count` positions as written."""
        self.length += count

    def fork(self, length: int) -> Self:
        """Return an independent state of the first `length` positions, with the same capacity."""
        keys, values = torch.empty_like(self.keys), torch.empty_like(self.values)
        keys[:, :, :, :length] = self.keys[:, :, :, :length]
        values[:, :, :, :length] = self.values[:, :, :, :length]
        reading = None if self.reading is None else self.reading.fork()
        return type(self)(keys, values, length, reading)

    def restore(self, length: int) -> None:
        """Go back to the first `length` positions."""
        self.length = length

    def rows(self, indices: Tensor) -> Self:
        """Return an independent state of the rows picked, in that order."""
        indices = indices.to(self.keys.device)
        reading = None if self.reading is None else self.reading.rows(indices)
        return type(self)(self.keys[:, indices], self.values[:, indices], self.length, reading)

    @torch.inference_mode()
    def select(self, indices: Tensor) -> None:
        """Go on with the rows picked, in that order; unless there are more than before, only the positions
        written of rows that become others are copied."""
        indices = indices.to(self.keys.device)
        self.reading = None if self.reading is None else self.reading.rows(indices)
        count = len(indices)
        if count > self.keys.shape[1]:
            self.keys, self.values = self.keys[:, indices], self.values[:, indices]
            return
        others = (indices != torch.arange(count, device=indices.device)).nonzero()[:, 0]
        for part in (self.keys, self.values):
            part[:, others, :, : self.length] = part[:, indices[others], :, : self.length]
        self.keys, self.values = self.keys[:, :count], self.values[:, :count]

    def beside(self, other: Self, room: int) -> Self:
        """Return an independent state of the rows of both, aligned at their ends, with room for more
        positions; what is in front of the shorter rows is zero."""
        length = max(self.length, other.length)
        layers, rows, heads, _, head_dim = self.keys.shape
        both = (layers, rows + other.keys.shape[1], heads, length + room, head_dim)
        keys, values = self.keys.new_zeros(both), self.values.new_zeros(both)
        for part, picked in ((self, slice(rows)), (other, slice(rows, None))):
            places = slice(length - part.length, length)
            keys[:, picked, :, places] = part.keys[:, :, :, : part.length]
            values[:, picked, :, places] = part.values[:, :, :, : part.length]
        reading = None
        if self.reading is not None and other.reading is not None:
            moved = (length - self.length, length - other.length)
            reading = self.reading.beside(other.reading, moved, length + room)
        return type(self)(keys, values, length, reading)


class Cache:
    """The state of several rows that are decoded together, one id per row and step.

    Step 0 is the end of what `begin` was given. Rows of unequal length are aligned at that end, so that one
    step writes one place for all of them; `keep` [R, 1, 1, positions] hides the padding in front.
    """

    def __init__(
        self,
        state: State,
        head: str,
        first_positions: Sequence[int],
        capacity: int,
        keep: Tensor | None = None,
        step: int = 0,
    ) -> None:
        self.state = state
        self.head = head
        self.first_positions = tuple(first_positions)
        self.capacity = capacity
        self.keep = keep
        self.step = step
        self._prefix = state.length - step

    @property
    def memory(self) -> int:
        """Bytes held."""
        return self.state.memory

    def __len__(self) -> int:
        return len(self.first_positions)

    def require_room(self) -> None:
        """Raise ValueError if the next step would not fit."""
        if self.step >= self.capacity:
            raise ValueError(f"the cache was made for {self.capacity} steps, all of them are used")

    def advance(self) -> None:
        """Count one step."""
        self.step += 1

    def fork(self, step: int) -> Cache:
        """Return an independent cache as it was after `step` steps.

        Raises ValueError for a step that has not been made.
        """
        self._require(step)
        state = self.state.fork(self._prefix + step)
        return Cache(state, self.head, self.first_positions, self.capacity, self.keep, step)

    def restore(self, step: int) -> None:
        """Go back in place to what was there after `step` steps.

        Raises ValueError for a step that has not been made.
        """
        self._require(step)
        self.state.restore(self._prefix + step)
        self.step = step

    def rows(self, indices: Sequence[int]) -> Cache:
        """Return an independent cache of the rows picked, in that order; a row may be picked twice."""
        picked = torch.tensor(indices, dtype=torch.long)
        keep = None if self.keep is None else _unless_all(self.keep[picked.to(self.keep.device)])
        positions = [self.first_positions[index] for index in indices]
        return Cache(self.state.rows(picked), self.head, positions, self.capacity, keep, self.step)

    def select(self, indices: Sequence[int]) -> None:
        """Go on in place with the rows picked, in that order; a row may be picked twice."""
        picked = torch.tensor(indices, dtype=torch.long)
        self.state.select(picked)
        if self.keep is not None:
            self.keep = _unless_all(self.keep[picked.to(self.keep.device)])
        self.first_positions = tuple(self.first_positions[index] for index in indices)

    def beside(self, other: Cache) -> Cache:
        """Return an independent cache of the rows of both, which have come equally far in their outputs.

        Its steps are this one's; it can be forked and restored as far back as both were made by steps.
        Raises ValueError where the rows are answered by different heads.
        """
        if self.head != other.head:
            raise ValueError(f"rows of one cache need one head, these have {self.head}, {other.head}")
        room = self.capacity - self.step
        state = self.state.beside(other.state, room)
        keep = torch.cat([part._seen(state.length, room) for part in (self, other)])
        moved = [first + other.step - self.step for first in other.first_positions]
        positions = [*self.first_positions, *moved]
        return Cache(state, self.head, positions, self.capacity, _unless_all(keep), self.step)

    def _seen(self, length: int, room: int) -> Tensor:
        """`keep` of these rows at the end of `length` positions, with `room` more, [R, 1, 1, places]."""
        own = self.state.length
        keep = torch.zeros(len(self), 1, 1, length + room, dtype=torch.bool, device=self.state.device)
        keep[..., length - own :] = True
        if self.keep is not None:
            keep[..., length - own : length] = self.keep[..., :own]
        return keep

    def _require(self, step: int) -> None:
        if not 0 <= step <= self.step:
            raise ValueError(f"step {step} is not one of the {self.step} made so far")


def _unless_all(keep: Tensor) -> Tensor | None:
    return None if bool(keep.all()) else keep
