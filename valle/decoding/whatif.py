"""Another stack on the logits of a finished take: what it would have chosen, without a step of the model.

All decisions of a segment are rows of one call. Up to the first change this is what a run with that stack
does, token for token; from there on the codes would be others, and it is hypothetical.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from valle.control import ScheduledControl
from valle.decoding.decide import stage_measures
from valle.decoding.forced import RawRows
from valle.decoding.run import Run
from valle.errors import UserError
from valle.request import Request
from valle.samplers.errors import RowError
from valle.samplers.rows import AttentionMeasures, Rows
from valle.samplers.sampler import Decision, Sampler, States
from valle.samplers.stack import Stack
from valle.step import Integers, StageMeasures, Step
from valle.whatif import WhatIf, decisions

FindRows = Callable[[int, frozenset[str]], RawRows]
"""Gives what the decisions of a segment are made from, with what stages need."""


@dataclass(frozen=True, slots=True)
class Question:
    """Which stack is tried on a take."""

    stack: Stack | None = None
    """None is the take's own, with the changes that were made to it."""
    changes: bool = False
    """Whether the changes that were made to the take come upon this stack too."""
    first: int = 0
    last: int = 0
    """Rows from `first` to before `last` are measured."""


def what_if(
    request: Request,
    steps: Sequence[Step],
    find: FindRows,
    question: Question,
    *,
    stop: int,
    attends: bool = True,
) -> WhatIf:
    """Decide level 0 of a take again with another stack.

    Raises UserError for a stack that searches, which one decision does not tell of, for one that the model
    cannot run, and for a recorded change that it cannot take.
    """
    if request.mode == "interleaved":
        raise UserError(f"{request.take} was made with all levels in turn; what-if tells of level 0 alone.")
    stack = request.stack if question.stack is None else question.stack
    kept = question.stack is None or question.changes
    events = [event for step in steps for event in step.events] if kept else []
    control = ScheduledControl(events)
    run = Run(replace(request, stack=stack), control, vocabulary=stop + 1, measured=False, attends=attends)
    tried = _Tried(request, run, question, stop)
    for segment in range(1 + max((step.place.segment for step in steps), default=-1)):
        own = [step for step in steps if step.place.segment == segment]
        tried.add(segment, own, find, doubtful=bool(events or request.history) and tried.any_changed)
        if tried.failure:
            break
    return tried.told()


@dataclass(frozen=True, slots=True)
class _Stretch:
    """Decisions of a segment that one sampler makes."""

    begin: int
    end: int
    sampler: Sampler


class _Tried:
    """A question, as far as its answer has come."""

    def __init__(self, request: Request, run: Run, question: Question, stop: int) -> None:
        self.failure = ""
        self.any_changed = False
        self._request, self._run, self._question = request, run, question
        self._stop = stop
        self._parts: list[WhatIf] = []
        self._rows = 0
        self._measured: tuple[StageMeasures, ...] = ()
        self._first = question.first

    def add(self, segment: int, steps: Sequence[Step], find: FindRows, doubtful: bool) -> None:
        """Decide the rows of one more segment; where it is doubtful, none of them is exact."""
        taken = np.array([int(step.tokens[0]) for step in decisions(steps, segment)], np.int64)
        stretches, forced = self._stretches(segment, steps, len(taken))
        if not len(taken):
            return
        raw = find(segment, frozenset().union(*(stretch.sampler.needs for stretch in stretches)))
        states: States | None = None
        for stretch in stretches:
            states = self._decide(segment, stretch, raw, torch.from_numpy(taken), forced, states)
            if self.failure:
                break
        told = [part for part in self._parts if int(part.segment[0]) == segment]
        changed = np.concatenate([part.changed for part in told]) if told else np.zeros(0, np.bool_)
        self._mark(told, changed, doubtful, raw.again)
        self.any_changed |= bool(changed.any())

    def told(self) -> WhatIf:
        """The answer."""
        names = [item.name for item in fields(WhatIf)]
        columns = [name for name in names if name in _COLUMNS]
        nothing = np.zeros(0, np.int64)
        joined: dict[str, Any] = {
            name: np.concatenate([getattr(part, name) for part in self._parts]) if self._parts else nothing
            for name in columns
        }
        passes = tuple(dict.fromkeys(number for part in self._parts for number in part.passes))
        return WhatIf(
            self._request.take, **joined, passes=passes, measured=self._measured, first=self._first,
            failure=self.failure,
        )  # fmt: skip

    def _stretches(
        self, segment: int, steps: Sequence[Step], count: int
    ) -> tuple[list[_Stretch], dict[int, int]]:
        """Which sampler decides which rows, and which tokens are forced."""
        run, begin, forced = self._run, 0, dict[int, int]()
        found: list[_Stretch] = []
        sampler = self._sampler()
        for step in steps:
            place = step.place
            if not step.events:
                continue
            before = run.before(place)
            if place.phase != "ar" or place.step >= count:
                continue
            if before.forced is not None:
                forced[place.step] = before.forced
            if (new := self._sampler()) is not sampler:
                found.append(_Stretch(begin, place.step, sampler))
                begin, sampler = place.step, new
        found.append(_Stretch(begin, count, sampler))
        return [stretch for stretch in found if stretch.end > stretch.begin], forced

    def _sampler(self) -> Sampler:
        sampler = self._run.sampler("ar", 0)
        if sampler.search is not None:
            raise UserError(
                f"{sampler.search.key} decides over several steps; single decisions do not tell what it does."
            )
        return sampler

    def _decide(
        self,
        segment: int,
        stretch: _Stretch,
        raw: RawRows,
        taken: Tensor,
        forced: dict[int, int],
        states: States | None,
    ) -> States:
        sampler, begin, device = stretch.sampler, stretch.begin, raw.logits.device
        states = sampler.start(1, device) if states is None else sampler.carry(states, 1, device)
        end, taken = stretch.end, taken.to(device)
        while end > begin:
            window = slice(
                max(self._question.first - self._rows, 0), max(self._question.last - self._rows, 0)
            )
            rows = self._rows_of(segment, begin, end, raw, taken)
            try:
                decision = sampler.along(
                    raw.logits[begin:end], rows, taken[begin:end], states, measured=window
                )
            except RowError as error:
                self.failure, end = str(error), begin + error.row
                continue
            self._keep(segment, begin, taken[begin:end].cpu().numpy(), decision, forced)
            return decision.states
        return states

    def _rows_of(self, segment: int, begin: int, end: int, raw: RawRows, taken: Tensor) -> Rows:
        attention = raw.attention
        if attention is not None:
            attention = AttentionMeasures(
                *(getattr(attention, item.name)[begin:end] for item in fields(attention))
            )
        steps = np.arange(begin, end)
        return Rows.of(
            "ar",
            end - begin,
            seed=self._request.seed,
            segment=segment,
            step=steps,
            past=taken[: max(end - 1, 0)],
            past_length=torch.from_numpy(steps).to(taken.device),
            stop=self._stop,
            null=None if raw.null is None else raw.null[begin:end],
            attention=attention,
        )

    def _keep(
        self, segment: int, begin: int, taken: Integers, decision: Decision, forced: dict[int, int]
    ) -> None:
        choices = decision.choice.copy()
        for step, token in forced.items():
            if begin <= step < begin + len(choices):
                choices[step - begin] = token
        if decision.measures is not None and not self._measured:
            self._measured = stage_measures(decision.measures)
            self._first = max(self._question.first, self._rows)
        count = len(choices)
        self._parts.append(
            WhatIf(
                take=self._request.take,
                segment=np.full(count, segment),
                step=np.arange(begin, begin + count),
                tokens=taken.astype(np.int16),
                choices=choices.astype(np.int16),
                runner_up=decision.runner_up.astype(np.int16),
                margin=decision.margin.astype(np.float32),
                log_probability=decision.log_probability,
                exact=np.ones(count, np.bool_),
            )
        )
        self._rows += count

    def _mark(self, told: Sequence[WhatIf], changed: np.ndarray, doubtful: bool, again: bool) -> None:
        """Put in which rows of a segment are exact, and whether a pass has made its logits again."""
        first = int(np.argmax(changed)) if changed.any() else len(changed)
        exact = (np.arange(len(changed)) <= first) & (not doubtful)
        at = len(self._parts) - len(told)
        for number, part in enumerate(told):
            here = slice(int(part.step[0]), int(part.step[-1]) + 1)
            passes = (int(part.segment[0]),) if again else ()
            self._parts[at + number] = replace(part, exact=exact[here], passes=passes)


_COLUMNS = (
    "segment", "step", "tokens", "choices", "runner_up", "margin", "log_probability", "exact",
)  # fmt: skip
