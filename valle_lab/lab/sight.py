"""Looking at decisions and at attention: asked of the worker, and what it has forgotten made again first."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import replace
from typing import TYPE_CHECKING, Generic, Protocol, TypeVar

from valle.errors import UserError
from valle.step import Place
from valle.whatif import WhatIf
from valle_lab.views import AttentionLook, AttentionView, Look, StepView, TakeLook
from valle_lab.worker.surface import ForgottenStepError

if TYPE_CHECKING:
    from valle_lab.lab.lab import Lab
    from valle_lab.lab.state import LabTake
    from valle_lab.worker.messages import Begun

PACE = 0.1
"""Seconds between two looks at the steps of a take that runs."""
SLOW_PACE = 0.5
"""Seconds between two looks at its attention."""


class Wanted(Protocol):
    """What a pane may look at."""

    @property
    def take(self) -> str: ...

    @property
    def newest(self) -> bool: ...


LookType = TypeVar("LookType", bound=Wanted)
ViewType = TypeVar("ViewType")


class Sight(Generic[LookType, ViewType]):
    """What a pane looks at, kept up to date while its take runs.

    `look` says what is wanted from now on, and costs nothing while nobody looks; `view` is the newest answer,
    which stays until the next one is there. The lab marks the subject `view` when it changes.
    """

    def __init__(
        self, lab: Lab, see: Callable[[Lab, LookType], Future[ViewType]], pace: float = PACE
    ) -> None:
        """`see` asks for one view."""
        self.wanted: LookType | None = None
        self.view: ViewType | None = None
        self.failure = ""
        """Why there is no view of what is wanted, in one line."""
        self._lab = lab
        self._see = see
        self._pace = pace
        self._answer: Future[ViewType] | None = None
        self._asked: tuple[LookType, int] | None = None
        self._asked_at = 0.0

    def look(self, wanted: LookType | None) -> None:
        """Look at this from now on; None ends looking."""
        if wanted != self.wanted:
            self.wanted, self.failure = wanted, ""
            self.poll()

    def forget(self) -> None:
        """Wait for no answer: the worker that would give it is gone."""
        self._answer = self._asked = None

    def poll(self) -> None:
        """Take in an answer, and ask again where there is something new to see."""
        if self._answer is not None and self._answer.done():
            self._take_in(self._answer)
            self._answer = None
        if self.wanted is None or self._answer is not None:
            return
        take = self._lab.find(self.wanted.take)
        if take is None or take.begun is None or not take.steps:
            return
        asked = (self.wanted, len(take.steps) if self.wanted.newest else 0)
        if asked == self._asked:
            return
        followed = self._asked is not None and self._asked[0] == self.wanted
        if followed and time.monotonic() < self._asked_at + self._pace:
            return
        self._asked, self._asked_at = asked, time.monotonic()
        self._answer = self._see(self._lab, self.wanted)

    def _take_in(self, answer: Future[ViewType]) -> None:
        if (error := answer.exception()) is None:
            self.view, self.failure = answer.result(), ""
        else:
            self.failure = str(error)
        self._lab.mark("view")


def attend(lab: Lab, look: AttentionLook) -> Future[AttentionView]:
    """Where the model looks, as soon as the worker has found out; `Lab.poll` brings it."""
    answer: Future[AttentionView] = Future()
    try:
        take, begun = _known(lab, look.take)
        _check_speaks(take, "Where the model looks")
        segment = take.timeline.segment if look.segment is None else look.segment
        if not 0 <= segment < len(begun.request.sentences):
            raise UserError(f"{take.name} has no segment {segment}.")
        level_0 = take.timeline.level_0(segment)
        asked = lab.living_worker().attend(replace(look, segment=segment), begun.request, level_0)
        lab.answers.expect(asked, answer.set_result, answer.set_exception)
    except UserError as error:
        answer.set_exception(error)
    return answer


def _known(lab: Lab, name: str) -> tuple[LabTake, Begun]:
    """A take that has begun, and how. Raises UserError for another, and for one of another model."""
    take = lab.find(name)
    if take is None or take.begun is None:
        raise UserError(f"There is no take {name!r} that has begun.")
    if (reason := strange(lab, take)) is not None:
        raise UserError(reason)
    return take, take.begun


def _check_speaks(take: LabTake, what: str) -> None:
    if not take.speaks:
        raise UserError(f"{what} is told of whole takes of speech; {take.name} gives none.")


def suppose(lab: Lab, look: TakeLook) -> Future[WhatIf]:
    """What another stack would have made of a take, as soon as the worker has found out; `Lab.poll` brings
    it."""
    answer: Future[WhatIf] = Future()
    try:
        take, begun = _known(lab, look.take)
        _check_speaks(take, "What another stack would have chosen")
        asked = lab.living_worker().what_if(look, begun.request, tuple(take.steps))
        lab.answers.expect(asked, answer.set_result, answer.set_exception)
    except UserError as error:
        answer.set_exception(error)
    return answer


def see(lab: Lab, look: Look) -> Future[StepView]:
    """One decision in full, as soon as the worker has it; `Lab.poll` brings it."""
    answer: Future[StepView] = Future()
    take = lab.find(look.take)
    if take is None:
        answer.set_exception(UserError(f"There is no take {look.take!r}."))
        return answer
    look = replace(look, place=_place(take, look.place))

    def forgotten(error: UserError) -> None:
        if isinstance(error, ForgottenStepError) and not take.running:
            _make_again(lab, take, look, answer)
        else:
            answer.set_exception(error)

    try:
        lab.answers.expect(lab.living_worker().look(look), answer.set_result, forgotten)
    except UserError as error:
        answer.set_exception(error)
    return answer


def _place(take: LabTake, place: Place | None) -> Place | None:
    """The newest decision of a take that is over is the last one of level 0."""
    if place is not None or take.running or not len(take.timeline):
        return place
    return take.timeline.place(len(take.timeline) - 1)


def _make_again(lab: Lab, take: LabTake, look: Look, answer: Future[StepView]) -> None:
    """Have the worker go through a take's own tokens, and look again; tells why that cannot be done."""
    if (reason := strange(lab, take)) is not None:
        answer.set_exception(UserError(reason))
        return
    assert take.begun is not None

    def remade(whole: bool) -> None:
        if not whole:
            answer.set_exception(UserError(f"{take.name} was not made again: something else came first."))
            return
        lab.answers.expect(lab.living_worker().look(look), answer.set_result, answer.set_exception)

    recalled = lab.living_worker().recall(take.begun.request, take.steps)
    lab.answers.expect(recalled, remade, answer.set_exception)


def strange(lab: Lab, take: LabTake) -> str | None:
    """Why the loaded model cannot make a take again, or None."""
    if take.begun is None or lab.description is None:
        return f"{take.name} cannot be looked at: no model is loaded."
    made_with = take.begun.origin.model
    if made_with.sha256 != lab.description.model_hash:
        return f"{take.name} was made with another model, {made_with.name}: load that to look at its steps."
    return None
