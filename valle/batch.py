"""Several takes made at once: what they must have in common, and the steps of all of them as they come."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from valle.errors import UserError
from valle.request import Request
from valle.step import Step
from valle.take import Take, assemble

MOST_ROWS = 64
"""Takes that are made at once at most."""


def together(requests: Sequence[Request]) -> tuple[Request, ...]:
    """The requests with the recipe of this batch: which takes there are in which order.

    Guidance has its null rows in passes of their own. Raises UserError for none or too many of them, for two
    of one name, for what is not text to speech by AR and NAR, and where they ask for different devices,
    dtypes, threads or attention.
    """
    if not 1 <= len(requests) <= MOST_ROWS:
        raise UserError(f"1 to {MOST_ROWS} takes are made at once, not {len(requests)}.")
    names = tuple(request.take for request in requests)
    if double := next((name for name in names if names.count(name) > 1), None):
        raise UserError(f"Two takes of one batch are named {double!r}.")
    recipes = [replace(request.recipe, batch=names, guidance="two passes") for request in requests]
    if any(recipe != recipes[0] for recipe in recipes):
        raise UserError("Takes made at once need one device, dtype, number of threads and attention.")
    for request in requests:
        if (reason := _only_alone(request)) is not None:
            raise UserError(f"{reason}: such a take is made alone, not several at once.")
    return tuple(replace(request, recipe=recipes[0]) for request in requests)


def _only_alone(request: Request) -> str | None:
    """What a request asks for that is done for one take at a time."""
    if (request.task, request.mode) != ("tts", "ar+nar"):
        return f"The task {request.task} in mode {request.mode}"
    asked = {
        "A prefix": request.prefix,
        "Rolling context": request.history,
        "Refining": request.refine,
        "Early exit": request.recipe.early_exit,
    }
    return next((name for name, there in asked.items() if there), None)


class BatchGeneration(Iterator[Step]):
    """The steps of all takes of a batch in the order in which they are made, and what has been made so far.

    A step's seconds are its share of the time of the pass that it came from.
    """

    def __init__(self, requests: Sequence[Request], steps: Iterator[Step]) -> None:
        self.requests = tuple(requests)
        self._steps = steps
        self._made: dict[str, list[Step]] = {request.take: [] for request in requests}

    def __next__(self) -> Step:
        step = next(self._steps)
        self._made[step.take].append(step)
        return step

    @property
    def takes(self) -> tuple[Take, ...]:
        """What has been made so far, in the order of the requests; what was not ended counts as cancelled."""
        return tuple(self.take(request.take) for request in self.requests)

    def take(self, name: str) -> Take:
        """What has been made so far of one of them. KeyError if there is none of that name."""
        steps = self._made[name]
        request = next(request for request in self.requests if request.take == name)
        return assemble(request, steps, sum(step.seconds for step in steps))

    def finish(self) -> tuple[Take, ...]:
        """Read all remaining steps and return the takes."""
        for _ in self:
            pass
        return self.takes
