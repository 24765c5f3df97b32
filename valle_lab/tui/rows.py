"""A stack as rows of a pane: which there are, and how each value is changed. No Textual."""

from __future__ import annotations

import json
from collections.abc import Container, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from valle.samplers.declaration import PHASES, Parameter, plain
from valle.samplers.lint import lint
from valle.samplers.resolve import EffectiveStage
from valle.samplers.stack import Stack
from valle.samplers.values import Condition, Curve

Field = Literal["slider", "picker", "words", "help"]
SWITCHES = ("on", "off")


@dataclass(frozen=True, slots=True)
class Row:
    """One row: a stage with its only parameter, a stage alone, or one of its several parameters."""

    list: str
    """The key of the stack's list: `ar`, `nar.3`."""
    key: str
    """The stage's key in it: `temperature#2`."""
    parameter: str | None
    field: Field
    first: bool
    """Whether the row begins its stage."""

    @property
    def stage(self) -> str:
        """The stage as commands take it."""
        return f"{self.list}:{self.key}"

    @property
    def target(self) -> str:
        """The parameter as commands take it."""
        return f"{self.stage}.{self.parameter}"


@dataclass(frozen=True, slots=True)
class StageState:
    """What is shown of a stage besides its values."""

    effective: EffectiveStage
    remarks: tuple[str, ...]

    @property
    def idle(self) -> bool:
        """Switched off, or without effect."""
        return not self.effective.runs

    @property
    def decides(self) -> bool:
        """Whether it is the chooser, which has no switch."""
        return self.effective.declaration.decides


def states(stack: Stack) -> dict[tuple[str, str], StageState]:
    """Every stage of the stack by list and key."""
    remarks: dict[tuple[str, str], list[str]] = {}
    for remark in lint(stack):
        remarks.setdefault((remark.list, remark.stage), []).append(remark.text)
    return {
        (name, stage.key): StageState(stage, tuple(remarks.get((name, stage.key), ())))
        for name in stack.lists
        for stage in effective(stack, name)
    }


def effective(stack: Stack, name: str) -> tuple[EffectiveStage, ...]:
    """The stages of one list as they run."""
    phase, _, level = name.partition(".")
    return stack.effective(phase, int(level or 0))


def rows(stack: Stack, used: Container[str]) -> Iterator[Row]:
    """All rows, in the order of the lists and their stages: first those of the phases that are used."""
    for name in sorted(
        stack.lists, key=lambda name: (name.partition(".")[0] not in used, _usual_order(name))
    ):
        for stage in effective(stack, name):
            parameters = stage.declaration.parameters
            if len(parameters) != 1:
                yield Row(name, stage.key, None, "help", True)
            for parameter in parameters:
                field = field_of(parameter, stage.parameters[parameter.name])
                yield Row(name, stage.key, parameter.name, field, len(parameters) == 1)


def next_row(held: Row, before: Sequence[Row], after: Sequence[Row]) -> Row | None:
    """Where a person goes on who was at `held`: in the stage that was added, else there, else nearby."""
    known = {row.stage for row in before}
    if len({row.stage for row in after} - known) == 1 and len(after) > len(before):
        return next(row for row in after if row.stage not in known)
    stage = [row for row in after if row.stage == held.stage]
    near = after[: before.index(held) + 1][-1:] if held in before else after[:1]
    return next(iter([held] if held in after else stage or near), None)


def moved_row(held: Row, stack: Stack, place: int) -> Row:
    """The same row once its stage has moved; stages of one kind are numbered in their order."""
    moved = stack.move(held.stage, place)
    return replace(held, key=effective(moved, held.list)[place].key)


def _usual_order(name: str) -> tuple[int, str]:
    """Phases in the order in which a take goes through them, single levels after their phase."""
    return PHASES.index(name.partition(".")[0]), name


def field_of(parameter: Parameter, value: Any) -> Field:
    """How a value is changed."""
    if isinstance(value, Curve):
        return "words"
    if parameter.type in ("number", "integer"):
        return "slider"
    return "picker" if parameter.type in ("choice", "boolean") else "words"


def in_words(value: Any) -> str:
    """A value as it may be typed; a curve and a condition as a person would say them."""
    if isinstance(value, bool):
        return SWITCHES[not value]
    if isinstance(value, Curve):
        return curve_words(value)
    if isinstance(value, Condition):
        return condition_words(value)
    value = plain(value)
    if isinstance(value, list):
        return ", ".join(map(str, value))
    return json.dumps(value) if isinstance(value, dict) else str(value)


def curve_words(curve: Curve) -> str:
    """`linear 1.2 → 0.6 over step 0–80`."""
    values = " → ".join(f"{value:g}" for value in curve.values[:6]) + (" …" if len(curve.values) > 6 else "")
    over = curve.over if curve.over == "step" else f"{curve.over} ({curve.of})"
    match curve.curve:
        case "linear" | "cosine":
            return f"{curve.curve} {values} over {over} {curve.begin:g}–{curve.end:g}"
        case "steps":
            return f"steps {values} from {over} {', '.join(f'{at:g}' for at in curve.at[:6])}"
    return f"{curve.curve} {values}"


def condition_words(condition: Condition) -> str:
    """`when entropy (raw) above 3 bits`."""
    limits = [
        f"{side} {limit:g}"
        for side, limit in (("above", condition.above), ("below", condition.below))
        if limit is not None
    ]
    return f"when {condition.measure} ({condition.of}) {' and '.join(limits)} bits"
