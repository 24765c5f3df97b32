"""One stage of a stack as data, without torch."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from valle.samplers.declaration import StageDeclaration, plain
from valle.samplers.errors import StackError, nearest
from valle.samplers.naming import stage_key
from valle.samplers.stages import find
from valle.samplers.values import Condition, Curve, Value, check_condition, check_value

RESERVED = ("name", "on", "when")
"""What every stage has beside its parameters."""


@dataclass(frozen=True, slots=True)
class Stage:
    """One sampler in a stack: its name, the parameters that were given, its switch and its condition."""

    name: str
    parameters: Mapping[str, Value] = field(default_factory=dict)
    on: bool = True
    when: Condition | None = None

    @property
    def declaration(self) -> StageDeclaration:
        """What the stage is declared to be."""
        return find(self.name)

    @classmethod
    def from_dict(cls, value: Any, where: str = "stage") -> Stage:
        """A stage from ``{"name": ..., parameter: ..., "on": ..., "when": ...}``; StackError where it is not
        one."""
        if not isinstance(value, Mapping):
            raise StackError(f'{where} must look like {{"name": "top_k", "k": 50}}, not {str(value)[:60]}')
        name = value.get("name")
        if not isinstance(name, str):
            raise StackError(f'{where} needs a "name", such as "top_k"')
        return cls(name).checked(
            where,
            {key: item for key, item in value.items() if key not in RESERVED},
            value.get("on", True),
            value.get("when"),
        )

    def to_dict(self) -> dict[str, Any]:
        """The stage in the types of JSON and TOML."""
        result: dict[str, Any] = {"name": self.name}
        for key, value in self.parameters.items():
            result[key] = value.to_dict() if isinstance(value, Curve) else plain(value)
        if not self.on:
            result["on"] = False
        if self.when is not None:
            result["when"] = self.when.to_dict()
        return result

    def checked(self, where: str, parameters: Mapping[str, Any], on: Any, when: Any) -> Stage:
        """A stage of the same name with these, validated. ``where`` is its place, as in ``ar:top_k``."""
        declaration = find(self.name)
        known = [parameter.name for parameter in declaration.parameters]
        result = {}
        for key, value in parameters.items():
            parameter = declaration.parameter(str(key))
            if parameter is None:
                raise StackError(
                    f'{where} has no parameter "{key}"; {nearest(str(key), [*known, "on", "when"])}'
                )
            result[parameter.name] = check_value(f"{where}.{key}", parameter, value)
        if not isinstance(on, bool):
            raise StackError(f"{where}.on must be true or false, not {on!r}")
        if declaration.decides and not on:
            raise StackError(
                f"{where} decides the token and cannot be switched off; put another in its place instead"
            )
        if declaration.decides and when is not None:
            raise StackError(f"{where} decides the token and takes no condition")
        return Stage(self.name, result, on, None if when is None else check_condition(where, when))


def keyed(stages: Sequence[Stage]) -> Iterator[tuple[str, Stage]]:
    """The stages with their names in the list: ``temperature``, ``temperature#2``."""
    seen: Counter[str] = Counter()
    for stage in stages:
        seen[stage.name] += 1
        yield stage_key(stage.name, seen[stage.name]), stage
