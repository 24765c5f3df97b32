"""Going on from the middle of a take in another way: with another stack, another token, another seed.

A fork is a request of its own. What its parent decided before the fork is fed to the model step by step, as
it was fed to make the parent, and from the fork on the stack decides. So a fork is made again exactly by
whoever has it alone, whether or not the parent is still known.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from valle.changes import stack_after
from valle.control import Event, Guide, ScheduledControl
from valle.errors import UserError
from valle.modes import AT_ONCE
from valle.request import Recipe, Request
from valle.samplers.stack import Stack
from valle.step import Place, Step
from valle.take import Take

STOP = 1024
"""The highest id that level 0 decides."""
ENDINGS = ("finish", "cancel")


@dataclass(frozen=True, slots=True)
class Fork:
    """A take that goes on from the middle of another."""

    request: Request
    parent: str
    """Name of the take that it goes on from; information only."""
    place: Place
    """The first decision of its own."""
    past: tuple[Step, ...]
    """What the parent decided before it."""
    events: tuple[Event, ...]
    """The changes that made the parent's stack what it was there, and then those of the fork."""

    @property
    def take(self) -> str:
        """The name of the take that it is."""
        return self.request.take

    def control(self) -> ScheduledControl:
        """What makes the fork, given to `Engine.generate` with its request."""
        return ScheduledControl(self.events, fed(self.past))


def fed(steps: Sequence[Step]) -> dict[Place, Guide]:
    """These decisions as they are fed to the model, whatever the stack would choose."""
    return {
        step.place: Guide(step.tokens, hypothesis=step.hypothesis, search_again=False, masked=step.masked)
        for step in steps
        if len(step.tokens)
    }


def fork(
    parent: Take,
    place: Place,
    name: str,
    *,
    stack: Stack | None = None,
    force: int | None = None,
    seed: int | None = None,
    recipe: Recipe | None = None,
) -> Fork:
    """Go on from a decision of a take, or from where it was stopped.

    What is not named stays as it was there: the stack with the changes up to there, the seed and so the
    noise. `force` takes this token for the decision. `recipe` is how it is computed, where that is not as the
    parent was; a take of a batch is gone on with alone. Raises UserError for a step that the take does not
    have, one that a search has decided, and a token that cannot be forced there.
    """
    past = _before(parent, place)
    here = tuple(step for step in parent.steps if step.place == place)
    events = [event for step in (*past, *here) for event in step.events]
    left_out = ENDINGS if force is None else (*ENDINGS, "force")
    earlier = [event for event in events if event.place != place]
    kept = [event for event in events if event.place == place and event.kind not in left_out]
    before = stack_after(parent.request, [*earlier, *kept])
    _check_search(place, before)
    if stack is not None and stack.to_dict() != before.to_dict():
        _check_begins(place, stack)
        kept.append(Event("replace", value=stack.to_dict(), place=place))
    if force is not None:
        kept.append(Event("force", value=_forced(force, place), place=place))
    request = replace(
        parent.request,
        take=name,
        seed=parent.request.seed if seed is None else seed,
        recipe=replace(recipe or parent.request.recipe, batch=()),
    )
    return Fork(request, parent.request.take, place, past, (*earlier, *kept))


def _before(parent: Take, place: Place) -> tuple[Step, ...]:
    """The decisions before a place, which the take must have, or be just before. Raises UserError."""
    steps = parent.steps
    for number, step in enumerate(steps):
        if step.place == place:
            return tuple(item for item in steps[:number] if len(item.tokens) or item.events)
    if steps and place == _next(steps[-1], parent.request):
        return steps
    if not steps:
        raise UserError(f"{parent.request.take} has no steps; speak again instead.")
    raise UserError(
        f"{parent.request.take} has no step {place}; its last one is {steps[-1].place}"
        f"{_last_of_phase(steps, place)}."
    )


def _last_of_phase(steps: Sequence[Step], place: Place) -> str:
    """Where the phase that is meant ended, if the take has it and went on."""
    own = [
        step.place for step in steps if (step.place.segment, step.place.phase) == (place.segment, place.phase)
    ]
    return f", and of this phase {own[-1]}" if own and own[-1] != steps[-1].place else ""


def _next(last: Step, request: Request) -> Place | None:
    """Where a take that was broken off would have gone on."""
    place = last.place
    if last.ended is not None or not len(last.tokens):
        return None
    if place.phase == "nar":
        return replace(place, level=place.level + 1) if place.level + 1 < request.max_levels else None
    return replace(place, step=place.step + 1)


def _check_begins(place: Place, stack: Stack) -> None:
    """Raise UserError for a search that would have to begin in the middle of a phase."""
    if (search := _search_over(place, stack)) is not None:
        raise UserError(
            f"{search} begins with the first step of a phase; fork at {replace(place, step=0)}, or take "
            "another stack."
        )


def _check_search(place: Place, stack: Stack) -> None:
    """Raise UserError where a search has decided the phase, which cannot be entered in the middle."""
    if (search := _search_over(place, stack)) is not None:
        raise UserError(
            f"{search} has decided the steps of this phase together; fork at its first, "
            f"{replace(place, step=0)}."
        )


def _forced(token: int, place: Place) -> int:
    if place.phase in AT_ONCE:
        raise UserError(f"A token can be forced where a step decides one, not in {place.phase}.")
    if place.phase == "ar" and not 0 <= token <= STOP:
        raise UserError(f"The forced token {token} must be a number from 0 to {STOP}, which is the stop.")
    return token


def _search_over(place: Place, stack: Stack) -> str | None:
    """The name of the search that decides the phase, where `place` is in the middle of it."""
    if place.phase in AT_ONCE or place.step == 0:
        return None
    last = stack.stages(place.phase)[-1]
    return last.name if last.declaration.kind == "search" else None
