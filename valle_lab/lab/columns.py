"""Columns of numbers that grow: adding a row always costs the same, reading copies nothing."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

FIRST_ROOM = 256


class Columns:
    """Named columns of float64 of the same length."""

    def __init__(self, *names: str) -> None:
        self._index = {name: number for number, name in enumerate(names)}
        self._table = np.empty((len(names), FIRST_ROOM))
        self._length = 0

    def __len__(self) -> int:
        return self._length

    def __getitem__(self, name: str) -> NDArray[np.float64]:
        """All values of a column so far; a view, to be read and not written."""
        return self._table[self._index[name], : self._length]

    def append(self, *values: float) -> None:
        """Add a row, its values in the order of the names."""
        if self._length == self._table.shape[1]:
            room = np.empty((len(self._index), 2 * self._length))
            room[:, : self._length] = self._table
            self._table = room
        self._table[:, self._length] = values
        self._length += 1

    def settle(self) -> None:
        """No more rows are to come: give back the room that was kept for them."""
        self._table = self._table[:, : self._length].copy()
