"""What the loops of all phases share while one take is made."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np

from valle.adapter_use import strengthened
from valle.changes import changed
from valle.control import Control, Event
from valle.decoding.onlooker import Onlooker
from valle.errors import UserError
from valle.models.adapters import Attached
from valle.models.arch.observer import Observer
from valle.models.layout import Layout
from valle.modes import AT_ONCE, deciding_phase
from valle.request import Request
from valle.samplers.sampler import MeasureAt, Sampler
from valle.samplers.stack import Stack
from valle.step import Integers, Place, Step

Ending = Literal["finish", "cancel"]


@dataclass(frozen=True, slots=True)
class Before:
    """What the events before one decision have brought about."""

    events: tuple[Event, ...]
    ending: Ending | None
    forced: int | None


class Run:
    """One take in the making: its request, and the stack as the events so far have left it."""

    def __init__(
        self,
        request: Request,
        control: Control,
        *,
        vocabulary: int,
        measured: bool = True,
        onlooker: Onlooker | None = None,
        attends: bool = True,
        alone: bool = True,
        attached: Attached | None = None,
        vocabularies: Mapping[str, int] | None = None,
    ) -> None:
        """`vocabulary` is the number of ids of level 0, stop included; `vocabularies` are those of phases
        that have another one.

        `measured` off leaves out measures and evidence. `attends` says whether the backbone has attention
        that stages can look at; `alone` off, that the take is one row of a batch. `attached` are the adapters
        that the model has taken in.
        """
        self.request = request
        self.control = control
        self.onlooker = onlooker
        self.keep_evidence = measured
        self._vocabulary, self._vocabularies = vocabulary, vocabularies or {}
        self._attends = attends
        self._alone = alone
        self._attached = attached
        self.adapters = request.recipe.adapters
        self.stack = request.stack
        self.cancelled = False
        self._samplers: dict[tuple[str, int], Sampler] = {}

    def sampler(self, phase: str, level: int) -> Sampler:
        """The effective stack of a phase and level, ready to run; made again only after a change.

        Raises UserError for a stage that asks for what the model does not have.
        """
        key = ("ar" if phase == "refine" else phase, level)
        if key not in self._samplers:
            self._samplers[key] = self._usable(self.stack, *key)
        return self._samplers[key]

    def _usable(self, stack: Stack, phase: str, level: int) -> Sampler:
        sampler = Sampler(stack, phase, level)
        if sampler.search is not None and not self._alone:
            raise UserError(f"{sampler.search.key} searches over the steps of one take, which is made alone.")
        if "attention" in sampler.needs and not self._attends:
            running = (item for item in sampler.effective if item.runs)
            stage = next(item.key for item in running if "attention" in item.declaration.needs)
            raise UserError(f"{phase}:{stage} looks at attention, and the model's backbone has none.")
        return sampler

    def measure(self, phase: str) -> MeasureAt:
        """Where to measure: after every stage where one row is decided, at both ends where hundreds are."""
        if not self.keep_evidence:
            return "none"
        return "ends" if phase in AT_ONCE else "all"

    def before(self, place: Place) -> Before:
        """Ask for the events at `place`, apply them; one that cannot be applied is refused, and left out."""
        applied: list[Event] = []
        ending: Ending | None = None
        forced: int | None = None
        for event in self.control.events(place):
            try:
                search = self.sampler(place.phase, place.level).search
                if event.kind == "finish" or event.kind == "cancel":
                    ending = event.kind
                elif search is not None and (place.step > 0 or event.kind != "replace"):
                    raise UserError(f"Only finish and cancel are taken while {search.key} is under way.")
                elif event.kind == "force":
                    forced = self._forced(event, place)
                elif event.kind == "adapter":
                    self._strengthen(event)
                else:
                    self._change(event, place)
            except UserError as error:
                self.control.refuse(event, str(error))
                continue
            applied.append(event)
        self.cancelled = self.cancelled or ending == "cancel"
        self._act(place)
        return Before(tuple(applied), ending, forced)

    def _change(self, event: Event, place: Place) -> None:
        first = deciding_phase(self.request.task, self.request.mode)
        stack = changed(self.stack, event, first)
        if stack is None:
            raise UserError(f"The loaded model takes no event of kind {event.kind!r}.")
        phase = "ar" if place.phase == "refine" else place.phase
        search = self._usable(stack, phase, place.level).search
        if search is not None and place.step > 0:
            raise UserError(f"{search.key} begins with the first step of a segment, not in the middle of it.")
        self.stack = stack
        self._samplers.clear()

    def _strengthen(self, event: Event) -> None:
        if not self._alone:
            raise UserError("The strength of an adapter is changed in a take that is made alone.")
        self.adapters = strengthened(self.adapters, event.name, event.value)

    def _act(self, place: Place) -> None:
        """Have the adapters act as they are to in the passes of a decision."""
        if self._attached is not None:
            strengths = {use.name: use.strength for use in self.adapters}
            self._attached.act(strengths, place.phase, place.level)

    def _forced(self, event: Event, place: Place) -> int:
        if place.phase in AT_ONCE:
            raise UserError(f"A token can be forced where a step decides one, not in {place.phase}.")
        most = self._vocabularies.get(place.phase, self._vocabulary)
        if type(event.value) is not int or not 0 <= event.value < most:
            raise UserError(f"The forced token {event.value!r} must be a number from 0 to {most - 1}.")
        return event.value

    def observer(self, place: Place, layout: Callable[[], Layout]) -> Observer | None:
        """Who watches the pass of this decision, if anybody."""
        return None if self.onlooker is None else self.onlooker.observer(place, layout)

    def notice(self, place: Place, before: Before) -> Step:
        """The Step without tokens that tells that events ended the phase."""
        nothing: Integers = np.zeros(0, np.int16)
        return Step(self.request.take, place, nothing, nothing, events=before.events, ended=before.ending)
