"""A take that is asked for while the model is still being loaded."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from valle.errors import UserError
from valle_lab.lab.state import LabTake

if TYPE_CHECKING:
    from valle_lab.lab.lab import Lab


class AwaitedTake:
    """Begins as soon as the model is there; there is one at most, and a later wish takes its place."""

    def __init__(self, lab: Lab, begin: Callable[[], LabTake]) -> None:
        self.over = False
        self._lab = lab
        self._begin = begin

    def poll(self) -> None:
        """Begin, once there is a model. Raises UserError where there will be none."""
        if self.over or self._lab.loading is not None:
            return
        self.over = True
        if self._lab.description is None:
            raise UserError("The take that waited for the model will not begin.")
        self._lab.tell(f"The model is there: {self._begin().name} has begun.")

    def take_back(self) -> None:
        """Begin nothing."""
        self.over = True
        self._lab.tell("The take that waited for the model was taken back.")
        self._lab.mark("takes")


def await_model(lab: Lab, begin: Callable[[], LabTake]) -> None:
    """Have a take begin as soon as the model is there."""
    if (earlier := awaited(lab)) is not None:
        earlier.over = True
    lab.works.append(AwaitedTake(lab, begin))
    lab.tell(f"The take begins as soon as the model is loaded; {lab.hint('take.stop')} takes it back.")
    lab.mark("takes")


def awaited(lab: Lab) -> AwaitedTake | None:
    """The take that waits for the model, if one does."""
    return next((work for work in lab.works if isinstance(work, AwaitedTake) and not work.over), None)
