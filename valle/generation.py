"""A take in the making, as whoever iterates it has it."""

from __future__ import annotations

import time
from collections.abc import Iterator

from valle.request import Request
from valle.step import Step
from valle.take import Take, assemble


class Generation(Iterator[Step]):
    """The steps of a take in the making, and what has been made so far."""

    def __init__(self, request: Request, steps: Iterator[Step]) -> None:
        self.request = request
        self._steps = steps
        self._made: list[Step] = []
        self._seconds = 0.0

    def __next__(self) -> Step:
        begun = time.perf_counter()
        step = next(self._steps)
        self._seconds += time.perf_counter() - begun
        self._made.append(step)
        return step

    @property
    def take(self) -> Take:
        """What has been made so far; a take that was not read to its end counts as cancelled."""
        return assemble(self.request, self._made, self._seconds)

    def finish(self) -> Take:
        """Read all remaining steps and return the take."""
        for _ in self:
            pass
        return self.take
