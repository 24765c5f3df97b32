"""What a list of stages comes to: defaults filled in, clamps noted, no-ops marked. Without torch."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from valle.samplers.declaration import Parameter, StageDeclaration, plain
from valle.samplers.stage import Stage, keyed
from valle.samplers.values import Curve, Value


@dataclass(frozen=True, slots=True)
class EffectiveStage:
    """A stage as it runs: every parameter with its value, whether it does anything, and what was changed.

    ``occurrence`` counts the stages of the same name from 0, those that are switched off included, so that a
    switch shifts no noise.
    """

    key: str
    stage: Stage
    parameters: Mapping[str, Value]
    neutral: bool
    occurrence: int
    notes: tuple[str, ...] = ()

    @property
    def declaration(self) -> StageDeclaration:
        """What the stage is declared to be."""
        return self.stage.declaration

    @property
    def runs(self) -> bool:
        """Whether the stage is switched on and does something."""
        return self.stage.on and not self.neutral

    def to_dict(self) -> dict[str, Any]:
        """The stage as a stack's dict, with every parameter, so that it can be run again."""
        return Stage(self.stage.name, self.parameters, self.stage.on, self.stage.when).to_dict()


def resolve(stages: Sequence[Stage]) -> tuple[EffectiveStage, ...]:
    """The stages of one list as they run."""
    seen: Counter[str] = Counter()
    result = []
    for key, stage in keyed(stages):
        parameters, notes = _resolved(stage)
        neutral = _neutral(stage.declaration, parameters)
        result.append(EffectiveStage(key, stage, parameters, neutral, seen[stage.name], notes))
        seen[stage.name] += 1
    return tuple(result)


def _resolved(stage: Stage) -> tuple[dict[str, Value], tuple[str, ...]]:
    declared = stage.declaration.parameters
    values: dict[str, Value] = {item.name: stage.parameters.get(item.name, item.default) for item in declared}
    notes = []
    for parameter in declared:
        bound = values.get(parameter.bounded_by) if parameter.bounded_by else None
        value = values[parameter.name]
        if isinstance(bound, (int, float)) and isinstance(value, (int, float)) and value > bound:
            values[parameter.name] = bound
            notes.append(f"{parameter.name} {value:g} lowered to {parameter.bounded_by} {bound:g}")
    return values, tuple(notes)


def _neutral(declaration: StageDeclaration, values: Mapping[str, Value]) -> bool:
    if declaration.decides:
        return False
    tests = [
        _is_neutral(item, values[item.name]) for item in declaration.parameters if item.neutral is not None
    ]
    return bool(tests) and (any(tests) if declaration.neutral_when == "any" else all(tests))


def _is_neutral(parameter: Parameter, value: Value) -> bool:
    if isinstance(value, Curve):
        return all(item == parameter.neutral for item in value.values)
    return bool(plain(value) == plain(parameter.neutral))
