"""What is made of weights and kept as long as these stay as they are."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

from torch import Tensor

Thing = TypeVar("Thing")


class Made(Generic[Thing]):
    """Something made of weights, anew when they are others than last time.

    They are known by what they are, by their version and by where they lie. What they were is held, else
    another weight could come to lie there.
    """

    def __init__(self) -> None:
        self._held: list[tuple[Tensor, Tensor]] = []
        self._state: list[tuple[int, int, int]] = []
        self._thing: Thing | None = None

    def of(self, weights: Sequence[Tensor], make: Callable[[], Thing]) -> Thing:
        """Return what `make` gives for these weights; none of them may be of inference mode."""
        state = [(id(weight), weight._version, weight.data_ptr()) for weight in weights]
        if self._thing is None or state != self._state:
            self._thing = make()
            self._held, self._state = [(weight, weight.detach()) for weight in weights], state
        return self._thing
