"""Runs the stages of one phase on rows of logits and decides their tokens."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from functools import cache, cached_property
from importlib import import_module
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from valle.samplers.errors import RowError, StackError
from valle.samplers.functions.choosers import log_probability
from valle.samplers.functions.common import Choice
from valle.samplers.measures import Measures, measure
from valle.samplers.resolve import EffectiveStage
from valle.samplers.rows import Rows
from valle.samplers.schedule import RowMeasures, at_rows, meets
from valle.samplers.stack import Stack
from valle.samplers.values import Curve

States = Mapping[str, Any]
"""The state of each stage that keeps one, by the stage's key: a frozen dataclass of tensors [R, ...]."""

MeasureAt = Literal["none", "ends", "all"]


@dataclass(frozen=True, slots=True)
class Decision:
    """What was decided for R rows.

    ``tokens`` [R] int64 lie on the device of the logits; the rest is numpy's. ``chosen`` are the same tokens.
    ``choice`` is what the stack chose by itself: it differs from ``chosen`` where a token was forced.
    ``log_probability`` is the final one of ``chosen``, in nats; ``runner_up`` and ``margin`` belong to
    ``choice``.
    """

    tokens: Tensor
    chosen: NDArray[np.int64]
    choice: NDArray[np.int64]
    log_probability: NDArray[np.float32]
    runner_up: NDArray[np.int64]
    margin: NDArray[np.float64]
    states: States
    measures: Measures | None


class Sampler:
    """The stages that decide one phase and level, resolved and ready to run.

    Raises StackError where the stack has no list for the phase.
    """

    def __init__(self, stack: Stack, phase: str, level: int = 0) -> None:
        self.phase, self.level = phase, level
        self.effective = stack.effective(phase, level)
        *stages, chooser = (_Runner(stage) for stage in self.effective if stage.runs)
        self._stages: tuple[_Runner, ...] = tuple(stages)
        self._chooser = chooser

    @cached_property
    def needs(self) -> frozenset[str]:
        """What the running stages need of the rows: history, null, attention, stop."""
        return frozenset().union(
            *(runner.stage.declaration.needs for runner in (*self._stages, self._chooser))
        )

    @cached_property
    def search(self) -> EffectiveStage | None:
        """The search mode in the chooser's place, or None where a chooser decides row by row."""
        stage = self._chooser.stage
        return stage if stage.declaration.kind == "search" else None

    def start(self, rows_count: int, device: torch.device | str = "cpu") -> States:
        """The states before the first step, for so many rows."""
        return {
            runner.key: runner.start(rows_count, runner.stage.parameters, device)
            for runner in (*self._stages, self._chooser)
            if runner.start is not None
        }

    def carry(self, states: States, rows_count: int, device: torch.device | str = "cpu") -> States:
        """States of the stack before an edit, for this one: those of stages that stayed, the rest fresh."""
        fresh = self.start(rows_count, device)
        return {
            key: states[key] if key in states and type(states[key]) is type(state) else state
            for key, state in fresh.items()
        }

    @torch.inference_mode()
    def gather(self, logits: Tensor, rows: Rows, states: States) -> States:
        """The states with what stages need to know of all rows of a pass that decides many positions.

        Given to ``decide`` in ``nar`` and ``nar_len``: then the rows can be decided together or one by one.
        """
        runners = {runner.key: runner for runner in (*self._stages, self._chooser)}
        return {key: runners[key].gather(state, rows, logits.float()) for key, state in states.items()}

    @torch.inference_mode()
    def decide(
        self,
        logits: Tensor,
        rows: Rows,
        states: States | None = None,
        *,
        measure: MeasureAt = "all",
        forced: Tensor | None = None,
    ) -> Decision:
        """Decides a token for each row of ``logits`` [R, V], which are the raw conditional ones.

        ``states`` are those of the step before; without them every stage starts afresh. ``forced`` [R] takes
        these tokens instead of the stack's choice, where they are not negative. ``measure`` says where to
        measure: nowhere, raw and final, or after every stage. Raises RowError where a row has NaN or no id
        left.
        """
        if self.search is not None:
            raise StackError(f"{self._chooser.key} searches over several steps and is run by the decoding")
        states = self.start(rows.count, logits.device) if states is None else states
        rows, points = self._run(logits, rows, states)
        final = points[-1]
        choice = self._chooser.choose(final, rows, states)
        chosen, taken = choice.token, choice.log_probability
        if forced is not None:
            wanted = forced.cpu().numpy()
            chosen = np.where(wanted >= 0, wanted, chosen)
            taken = log_probability(final.cpu().numpy(), chosen)
        token = torch.from_numpy(chosen).to(logits.device)
        return Decision(
            tokens=token,
            chosen=chosen,
            choice=choice.token,
            log_probability=taken,
            runner_up=choice.runner_up,
            margin=choice.margin,
            states=self._accept(states, rows, points, token),
            measures=self._measured(points, token, rows.stop, measure),
        )

    @torch.inference_mode()
    def along(
        self, logits: Tensor, rows: Rows, taken: Tensor, states: States, *, measured: slice = slice(0)
    ) -> Decision:
        """Decides rows that follow each other in one sequence, as if ``taken`` [R] had been taken in them.

        The same as ``decide`` row by row, all at once: only the states are taken from row to row, and only
        those of stages that keep one. ``states`` are those before the first row, and in the answer those
        after the last. What is told of the rows is of the stack's own choices; ``measured`` says of which
        rows measures are taken, after every stage. Raises RowError as ``decide`` does.
        """
        if self.search is not None:
            raise StackError(f"{self._chooser.key} searches over several steps and is run by the decoding")
        rows = replace(rows, raw=logits.float())
        assert rows.raw is not None
        points, of_raw = [rows.raw], dict[str, Tensor]()
        before, after = dict[str, Any](), dict[str, Any]()
        try:
            for runner in (*self._stages, self._chooser):
                if (state := states.get(runner.key)) is not None:
                    before[runner.key], after[runner.key] = runner.follow(state, rows, points[-1], taken)
                if runner is not self._chooser:
                    points.append(runner.apply(points[-1], rows, before, of_raw))
        finally:
            self._check(points, rows)
        choice = self._chooser.choose(points[-1], rows, before)
        token = torch.from_numpy(choice.token).to(logits.device)
        parts = [point[measured] for point in points]
        return Decision(
            tokens=token,
            chosen=choice.token,
            choice=choice.token,
            log_probability=choice.log_probability,
            runner_up=choice.runner_up,
            margin=choice.margin,
            states=after,
            measures=measure(self.points, parts, token[measured], rows.stop) if len(parts[0]) else None,
        )

    @torch.inference_mode()
    def final(self, logits: Tensor, rows: Rows, states: States | None = None) -> Tensor:
        """The final logits [R, V]: after every stage, before the chooser."""
        states = self.start(rows.count, logits.device) if states is None else states
        return self._run(logits, rows, states)[1][-1]

    @torch.inference_mode()
    def stages(self, logits: Tensor, rows: Rows, states: States | None = None) -> dict[str, Tensor]:
        """The logits [R, V] at every point: ``raw``, then after each stage that runs; the last one is
        final."""
        states = self.start(rows.count, logits.device) if states is None else states
        return dict(zip(self.points, self._run(logits, rows, states)[1], strict=True))

    @cached_property
    def points(self) -> tuple[str, ...]:
        """The names of the points between the stages that run: ``raw``, then the key of each stage."""
        return ("raw", *(runner.key for runner in self._stages))

    def _run(self, logits: Tensor, rows: Rows, states: States) -> tuple[Rows, list[Tensor]]:
        raw = logits.float()
        rows = replace(rows, raw=raw)
        points, of_raw = [raw], dict[str, Tensor]()
        try:
            for runner in self._stages:
                points.append(runner.apply(points[-1], rows, states, of_raw))
        finally:
            self._check(points, rows)
        return rows, points

    def _check(self, points: list[Tensor], rows: Rows) -> None:
        """Raises RowError for the first point at which a row has NaN, or no id that can be taken."""
        best = points[0].amax(-1)
        if len(points) > 1:
            best = best + points[-1].amax(-1)
        if math.isfinite(float(best.sum())):
            return
        for name, logits in zip(self.points, points, strict=False):
            best = logits.amax(-1)
            bad = ~best.isfinite()
            if bool(bad.any()):
                row = int(bad.nonzero()[0, 0])
                self._refuse(name, float(best[row]), row, rows)

    def _refuse(self, point: str, best: float, row: int, rows: Rows) -> None:
        what = (
            "no id that can be taken"
            if best == float("-inf")
            else "NaN"
            if best != best
            else "an infinite logit"
        )
        step, where = int(rows.step[row]), f"row {row} (position {int(rows.position[row])})"
        list_name = f"{self.phase}.{self.level}" if self.phase == "nar" else self.phase
        if point == "raw":
            message = f"{list_name} step {step}: the model gave {what} in {where}"
        else:
            message = (
                f"{list_name} step {step}: after {point}, {where} has {what}; change or switch off that stage"
            )
        raise RowError(message, step=step, stage=point, row=row)

    def _accept(self, states: States, rows: Rows, points: list[Tensor], token: Tensor) -> States:
        if not states:
            return states
        entered = dict(zip((runner.key for runner in (*self._stages, self._chooser)), points, strict=True))
        runners = {runner.key: runner for runner in (*self._stages, self._chooser)}
        return {key: runners[key].accept(state, rows, entered[key], token) for key, state in states.items()}

    def _measured(
        self, points: list[Tensor], token: Tensor, stop: int | None, at: MeasureAt
    ) -> Measures | None:
        if at == "none":
            return None
        if at == "ends":
            return measure(("raw", "final"), [points[0], points[-1]], token, stop)
        return measure(self.points, points, token, stop)


class _Runner:
    """One effective stage with its functions."""

    def __init__(self, stage: EffectiveStage) -> None:
        self.stage, self.key = stage, stage.key
        declaration = stage.declaration
        self._function = resolve_function(declaration.function)
        self.start = resolve_function(declaration.start) if declaration.start else None
        self._accept = resolve_function(declaration.accept) if declaration.accept else None
        self._gather = resolve_function(declaration.gather) if declaration.gather else None
        self._parameters = dict(stage.parameters)
        self._curved = any(isinstance(value, Curve) for value in self._parameters.values())

    def apply(self, logits: Tensor, rows: Rows, states: States, of_raw: dict[str, Tensor]) -> Tensor:
        when = self.stage.stage.when
        if not self._curved and when is None:
            plain: Tensor = self._function(logits, self._rows(rows), self._parameters, states.get(self.key))
            return plain
        measures = self._measures(logits, rows, of_raw)
        parameters = self._at(rows, measures)
        result: Tensor = self._function(logits, self._rows(rows), parameters, states.get(self.key))
        return result if when is None else torch.where(meets(when, measures), result, logits)

    def choose(self, logits: Tensor, rows: Rows, states: States) -> Choice:
        parameters = self._at(rows, self._measures(logits, rows, {}))
        choice: Choice = self._function(logits, self._rows(rows), parameters, states.get(self.key))
        return choice

    def accept(self, state: Any, rows: Rows, logits: Tensor, token: Tensor) -> Any:
        if self._accept is None:
            return state
        parameters = self._at(rows, self._measures(logits, rows, {}))
        return self._accept(state, self._rows(rows), parameters, logits, token)

    def follow(self, state: Any, rows: Rows, logits: Tensor, taken: Tensor) -> tuple[Any, Any]:
        """The states [R] before each of rows that follow each other, and the one after the last."""
        if self._accept is None or len(logits) == 0:
            return _stacked([state] * len(logits)) if len(logits) else state, state
        before = []
        for row in range(len(logits)):
            before.append(state)
            at = slice(row, row + 1)
            state = self.accept(state, rows.pick([row]), logits[at], taken[at])
        return _stacked(before), state

    def gather(self, state: Any, rows: Rows, logits: Tensor) -> Any:
        return state if self._gather is None else self._gather(state, rows, self._parameters, logits)

    def _measures(self, logits: Tensor, rows: Rows, of_raw: dict[str, Tensor]) -> RowMeasures:
        assert rows.raw is not None
        return RowMeasures(rows.raw, logits, of_raw)

    def _at(self, rows: Rows, measures: RowMeasures) -> dict[str, Any]:
        if not self._curved:
            return self._parameters
        return at_rows(self.stage.declaration, self._parameters, rows, measures)

    def _rows(self, rows: Rows) -> Rows:
        occurrence = self.stage.occurrence
        return replace(rows, occurrence=occurrence) if occurrence else rows


@cache
def resolve_function(reference: str) -> Callable[..., Any]:
    """The function that a declaration names as ``module:function``."""
    module, _, name = reference.partition(":")
    function: Callable[..., Any] = getattr(import_module(module), name)
    return function


def _stacked(states: Sequence[Any]) -> Any:
    """States of one row each as one state of all of them."""
    names = [item.name for item in fields(states[0])]
    return type(states[0])(**{name: torch.cat([getattr(state, name) for state in states]) for name in names})


def pick(states: States, index: Tensor) -> States:
    """The states of these rows, in this order."""
    return {
        key: type(state)(**{item.name: getattr(state, item.name)[index] for item in fields(state)})
        for key, state in states.items()
    }
