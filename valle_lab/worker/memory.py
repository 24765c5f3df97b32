"""What the worker keeps of its takes so that they can be looked at, within a budget.

Of the autoregressive phases every step of every take is kept, of the others those of the latest take. All of
it can be made again, so there is a budget: the take that was looked at longest ago is forgotten first.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Mapping
from typing import TYPE_CHECKING

from valle.fork import Fork
from valle.request import Request
from valle.step import Place
from valle_lab.worker.take_memory import Kept, TakeMemory

if TYPE_CHECKING:
    from valle.decoding.resumed import Resumed

GIGABYTE = 10**9
WATCHED_SECONDS = 3.0
"""How long attention is watched after somebody asked for it."""


class Memory:
    """The takes that are remembered, the one looked at last at the end."""

    def __init__(self, budget: float = 0.0) -> None:
        """`budget` is in GB; at 0 only the newest step of the latest take is kept."""
        self.budget = budget
        self._takes: OrderedDict[str, TakeMemory] = OrderedDict()
        self._latest = ""
        self._watched_until = 0.0

    def watch(self) -> None:
        """Somebody looks at attention: it is watched for a while, also that of a take begun meanwhile."""
        self._watched_until = time.monotonic() + WATCHED_SECONDS

    @property
    def watched(self) -> bool:
        """Whether somebody has asked for attention lately."""
        return time.monotonic() < self._watched_until

    @property
    def size(self) -> int:
        """Bytes of all takes."""
        return sum(take.size for take in self._takes.values())

    def begin(
        self,
        request: Request,
        remade: bool = False,
        resumed: Mapping[tuple[int, str], Resumed] | None = None,
    ) -> TakeMemory:
        """The memory of a take that is about to be made."""
        take = request.take
        for other in self._takes.values():
            other.drop_passes()
        self._latest = take
        memory = self._takes[take] = TakeMemory(
            request, self._keep_to_budget, lambda: self.watched, remade, resumed
        )
        self._takes.move_to_end(take)
        return memory

    def begin_fork(self, fork: Fork) -> TakeMemory:
        """The memory of a fork, which has the passes of its parent as far as they are kept."""
        parent = self._takes.get(fork.parent)
        resumed = None if parent is None else parent.resumed(fork)
        return self.begin(fork.request, resumed=resumed)

    def find(self, take: str, place: Place | None) -> Kept | None:
        """What is kept of a step, None where it was forgotten; without a place the newest."""
        memory = self._takes.get(take)
        if memory is None:
            return None
        self._takes.move_to_end(take)
        return memory.newest if place is None else memory.steps.get(place)

    def take(self, name: str) -> TakeMemory | None:
        """What is kept of a take."""
        return self._takes.get(name)

    def clear(self) -> None:
        """Forget everything, as what another model made."""
        self._takes.clear()

    def _keep_to_budget(self) -> None:
        """Forget the caches of other takes than the latest, then those takes, then its own first steps."""
        limit = self.budget * GIGABYTE
        others = [take for name, take in self._takes.items() if name != self._latest]
        for take in others:
            if self.size <= limit:
                return
            take.branches.clear()
        for name in [name for name in self._takes if name != self._latest]:
            if self.size <= limit:
                return
            del self._takes[name]
        latest = self._takes[self._latest]
        if latest.size > limit:
            latest.branches.clear()
        while latest.size > limit and len(latest.steps) > 1:
            latest.forget(next(iter(latest.steps)))
