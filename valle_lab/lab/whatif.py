"""What-if: the stack as it is, tried on a take that was made with another one; no step of the model."""

from __future__ import annotations

from concurrent.futures import Future
from typing import TYPE_CHECKING

import numpy as np

from valle.errors import UserError
from valle.samplers.stack import Stack
from valle.whatif import WhatIf
from valle_lab.lab.places import place_or_cursor
from valle_lab.lab.registry import command
from valle_lab.lab.sight import Sight, see, suppose
from valle_lab.lab.stack import current
from valle_lab.lab.takes import named, no_takes, take_names
from valle_lab.views import Look, StepView, TakeLook

if TYPE_CHECKING:
    from valle_lab.lab.lab import Lab

PACE = 0.1
"""Seconds between two questions on a take that runs."""


class Marks:
    """Which decisions of the chosen take the stack as it is would have made otherwise, kept up to date.

    The lab marks the subject `view` when they change.
    """

    def __init__(self, lab: Lab) -> None:
        self.on = False
        self._lab = lab
        self._sight: Sight[TakeLook, WhatIf] = Sight(lab, suppose, PACE)
        self._stack: Stack | None = None
        self._columns = (0, 0)

    @property
    def view(self) -> WhatIf | None:
        """The newest answer on the chosen take, while the marks are on."""
        view, chosen = self._sight.view, self._lab.chosen
        return view if self.on and view and chosen and view.take == chosen.name else None

    @property
    def failure(self) -> str:
        """Why there are no marks, in one line."""
        return self._sight.failure if self.on else ""

    def measure(self, first: int, last: int) -> None:
        """Have the rows from `first` to before `last` of the timeline measured: the columns in view."""
        self._columns = (first, last)

    def switch(self, on: bool) -> None:
        """Begin or end marking."""
        self.on = on
        if not on:
            self._sight.look(None)
        self._lab.mark("view")

    def forget(self) -> None:
        """Wait for no answer: the worker that would give it is gone."""
        self._sight.forget()

    def poll(self) -> None:
        """Ask again where take, stack or columns are others."""
        wanted, chosen, stack = self._sight.wanted, self._lab.chosen, self._lab.stack
        if self.on and chosen is not None and stack is not None:
            shown = (chosen.name, *self._columns)
            if (
                stack is not self._stack
                or wanted is None
                or (wanted.take, wanted.first, wanted.last) != shown
            ):
                self._stack = stack
                self._sight.look(TakeLook(chosen.name, stack.to_dict(), False, *self._columns))
        self._sight.poll()


def try_take(lab: Lab, take: str | None = None, changes: bool = False) -> Future[WhatIf]:
    """Try the stack as it is on a whole take: which steps would have chosen otherwise.

    With `changes` those that were made to the take come upon it too.
    """
    return suppose(lab, TakeLook(named(lab, take).name, current(lab).to_dict(), changes))


def try_step(lab: Lab, step: str | None = None) -> Future[StepView]:
    """Try the stack as it is on one step of the chosen take, by default the one under the cursor."""
    take = named(lab, None)
    look = Look(take.name, place_or_cursor(take, lab.row, step), stack=current(lab).to_dict())
    answer: Future[StepView] = Future()

    def looked(view: Future[StepView]) -> None:
        lab.answers.expect(view, answer.set_result, answer.set_exception)

    if look.place is not None and look.place.phase == "ar":
        # The whole take first: it makes again what the stack needs and the step was made without.
        whole = suppose(lab, TakeLook(take.name, look.stack))
        lab.answers.expect(whole, lambda _: looked(see(lab, look)), answer.set_exception)
    else:
        looked(see(lab, look))
    return answer


def follow(lab: Lab, on: bool | None = None) -> bool:
    """Mark the steps that the stack as it is would have chosen otherwise, and follow its edits; or stop."""
    lab.marks.switch(not lab.marks.on if on is None else on)
    return lab.marks.on


def next_mark(lab: Lab, by: int = 1) -> int:
    """Go to the next step that the stack would have chosen otherwise, or with -1 to the one before."""
    view = lab.marks.view
    if view is None:
        raise UserError(lab.marks.failure or "There are no marks yet; whatif.follow on makes them.")
    rows = np.flatnonzero(view.changed)
    if not len(rows):
        raise UserError("This stack would have chosen the same at every step.")
    here = -1 if lab.row is None else lab.row
    later, before = rows[rows > here], rows[rows < here]
    if by < 0:
        lab.row = int(before[-1] if len(before) else rows[-1])
    else:
        lab.row = int(later[0] if len(later) else rows[0])
    lab.mark("cursor")
    return lab.row


def _no_marks(lab: Lab) -> str | None:
    return None if lab.marks.on else f"steps are not marked; {lab.hint('whatif.follow')} marks them."


COMMANDS = (
    command("whatif.take", try_take, unavailable=no_takes, complete={"take": take_names}),
    command("whatif.step", try_step, unavailable=no_takes),
    command("whatif.follow", follow, key="alt+w", unavailable=no_takes),
    command("whatif.next", next_mark, key="alt+n", unavailable=_no_marks),
)
