"""The sampler stack as data: ordered lists of stages, one per phase, without torch.

The same dict is used in TOML, JSON, a session and the REPL::

    {"ar": [{"name": "top_k", "k": 50}, {"name": "temperature", "value": 0.9}, {"name": "draw"}],
     "nar": [{"name": "greedy"}],
     "nar.3": [{"name": "temperature", "value": 0.5, "on": false}, {"name": "draw"}]}

Every edit gives a new stack, and every stack is valid: guidance first, exactly one chooser last, no stage in
a phase that refuses it, every value of the right type and in range.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from valle.samplers.declaration import StageDeclaration
from valle.samplers.errors import StackError, nearest
from valle.samplers.naming import StageName, check_list, parse_parameter, parse_stage, stage_key
from valle.samplers.resolve import EffectiveStage, resolve
from valle.samplers.stage import Stage, keyed
from valle.samplers.stages import find
from valle.samplers.values import Condition, Value, check_condition, parse_json, parse_value

if TYPE_CHECKING:
    from transformers import GenerationConfig

    from valle.samplers.bridge import StackProcessors

MAXIMUM_STAGES = 64


@dataclass(frozen=True, slots=True)
class Stack:
    """An ordered list of stages per phase. Keys: a phase, or ``nar.1`` to ``nar.7`` for one level."""

    lists: Mapping[str, tuple[Stage, ...]]

    @classmethod
    def from_dict(cls, value: Any) -> Stack:
        """A stack from its dict form. Raises StackError with the place and what to do."""
        if not isinstance(value, Mapping):
            raise StackError(
                f'a stack must map phases to lists of stages, as in {{"ar": [...]}}, not {str(value)[:60]}'
            )
        if not value:
            raise StackError('the stack is empty; give at least one list, as in {"ar": [{"name": "draw"}]}')
        lists = {}
        for name, stages in value.items():
            check_list(str(name))
            if not isinstance(stages, Sequence) or isinstance(stages, str):
                raise StackError(f"{name} must be a list of stages, not {str(stages)[:60]}")
            if len(stages) > MAXIMUM_STAGES:
                raise StackError(f"{name} has {len(stages)} stages; {MAXIMUM_STAGES} at most")
            lists[str(name)] = tuple(_stages_from(str(name), stages))
        return cls._valid(lists)

    @classmethod
    def from_generation_config(cls, config: GenerationConfig) -> Stack:
        """What a GenerationConfig of ``transformers`` asks for, as the list ``ar``: see
        ``valle.samplers.bridge``."""
        from valle.samplers import bridge

        return bridge.from_generation_config(config)

    def to_transformers(
        self, phase: str = "ar", *, seed: int = 0, level: int = 0, stop: int | None = None
    ) -> StackProcessors:
        """One list as the ``logits_processor`` of any ``generate``: see ``valle.samplers.bridge``."""
        from valle.samplers import bridge

        return bridge.to_transformers(self, phase, seed=seed, level=level, stop=stop)

    def to_dict(self) -> dict[str, Any]:
        """The stack in the types of JSON and TOML; ``from_dict`` of it is an equal stack."""
        return {name: [stage.to_dict() for stage in stages] for name, stages in self.lists.items()}

    def over(self, other: Stack) -> Stack:
        """This stack's lists, and the other's where this one has none: a preset over a model's defaults.

        Where this one has ``nar``, single levels of the other do not shine through.
        """
        kept = {
            name: stages
            for name, stages in other.lists.items()
            if not ("nar" in self.lists and "nar." in name)
        }
        return Stack({**kept, **self.lists})

    def stages(self, phase: str, level: int = 0) -> tuple[Stage, ...]:
        """The list that decides this phase and level. Raises StackError where the stack has none."""
        return self.lists[self.list_for(phase, level)]

    def list_for(self, phase: str, level: int = 0) -> str:
        """The key of the list that decides this phase and level."""
        check_list(phase)
        if phase == "nar" and f"nar.{level}" in self.lists:
            return f"nar.{level}"
        if phase.startswith("nar.") and phase not in self.lists:
            phase = "nar"
        if phase not in self.lists:
            raise StackError(f"the stack has no list for {phase}; it has {', '.join(self.lists)}")
        return phase

    def effective(self, phase: str, level: int = 0) -> tuple[EffectiveStage, ...]:
        """The list that decides this phase and level: defaults filled in, clamps noted, no-ops marked."""
        return resolve(self.stages(phase, level))

    def effective_dict(self) -> dict[str, list[dict[str, Any]]]:
        """Every list with every parameter as it runs: what a session keeps beside the requested stack."""
        return {name: [stage.to_dict() for stage in resolve(stages)] for name, stages in self.lists.items()}

    def set(self, target: str, value: Any, default_phase: str = "ar") -> Stack:
        """Gives a parameter, ``.on`` or ``.when`` a value; the stage is added where the list lacks it.

        ``target`` is a name such as ``temperature#2.value`` or ``nar.3:top_k.k``. Setting a level that has no
        list of its own gives it a copy of ``nar``'s. A chooser that the list lacks takes the place of the one
        there.
        """
        name, parameter = parse_parameter(target, default_phase)
        stages = list(self.stages(name.list))
        index = _index(stages, name)
        if index is None:
            index = _insert(stages, name)
        stage = stages[index]
        parameters, on, when = dict(stage.parameters), stage.on, stage.when
        match parameter:
            case "on":
                on = value
            case "when":
                when = value
            case _:
                parameters[parameter] = value
        stages[index] = stage.checked(str(name), parameters, on, when)
        return self._with(name.list, stages)

    def set_text(self, setting: str, default_phase: str = "ar") -> Stack:
        """Applies a setting as written on a command line, such as ``nar.3:top_k.k=50``."""
        target, value = parse_setting(setting, default_phase)
        return self.set(target, value, default_phase)

    def add(
        self, target: str, parameters: Mapping[str, Any] | None = None, index: int | None = None,
        default_phase: str = "ar",
    ) -> Stack:  # fmt: skip
        """Adds one more stage, at ``index`` or at its usual place; a chooser takes the place of the one
        there."""
        name = parse_stage(target, default_phase)
        if name.number != 1:
            raise StackError(f'"{target}": add takes a stage without a number; it counts by itself')
        stages = list(self.stages(name.list))
        stage = Stage.from_dict({"name": name.stage, **(parameters or {})}, str(name))
        if stage.declaration.decides:
            stages[-1] = stage
        else:
            place = _usual_place(stages, stage.declaration)
            stages.insert(place if index is None else _checked_index(target, index, len(stages)), stage)
        return self._with(name.list, stages)

    def remove(self, target: str, default_phase: str = "ar") -> Stack:
        """Takes a stage out."""
        name, stages, index = self._located(target, default_phase)
        if stages[index].declaration.decides:
            raise StackError(
                f"{name} decides the token and cannot be removed; put another in its place instead"
            )
        del stages[index]
        return self._with(name.list, stages)

    def move(self, target: str, index: int, default_phase: str = "ar") -> Stack:
        """Moves a stage to another place of its list, counted from 0."""
        name, stages, at = self._located(target, default_phase)
        stages.insert(_checked_index(target, index, len(stages) - 1), stages.pop(at))
        return self._with(name.list, stages)

    def switch(self, target: str, on: bool, default_phase: str = "ar") -> Stack:
        """Switches a stage of the list on or off."""
        name, stages, index = self._located(target, default_phase)
        stage = stages[index]
        stages[index] = stage.checked(str(name), stage.parameters, on, stage.when)
        return self._with(name.list, stages)

    def replace(self, phase: str, stages: Sequence[Mapping[str, Any] | Stage]) -> Stack:
        """Puts a whole list in the place of a phase's, or of one level's."""
        check_list(phase)
        return self._with(phase, tuple(_stages_from(phase, stages)))

    def _located(self, target: str, default_phase: str) -> tuple[StageName, list[Stage], int]:
        name = parse_stage(target, default_phase)
        stages = list(self.stages(name.list))
        index = _index(stages, name)
        if index is None:
            find(name.stage)
            present = [key for key, _ in keyed(stages)]
            raise StackError(f"{name.list} has no {name.key}; it has {', '.join(present)}")
        return name, stages, index

    def _with(self, name: str, stages: Sequence[Stage]) -> Stack:
        return self._valid({**self.lists, name: tuple(stages)})

    @classmethod
    def _valid(cls, lists: Mapping[str, tuple[Stage, ...]]) -> Stack:
        for name, stages in lists.items():
            _check_order(name, stages)
        return cls(lists)


def parse_setting(text: str, default_phase: str = "ar") -> tuple[str, Value | Condition]:
    """``nar.3:top_k.k=50`` as the target and its value, both checked."""
    target, equals, value = text.partition("=")
    if not equals or not value.strip():
        raise StackError(f'"{text}" sets nothing; write it like temperature.value=0.9')
    name, parameter_name = parse_parameter(target, default_phase)
    declaration = find(name.stage)
    if parameter_name == "on":
        switch = {"true": True, "on": True, "false": False, "off": False}.get(value.strip().lower())
        if switch is None:
            raise StackError(f"{target.strip()} must be true or false, not {value.strip()[:40]}")
        return target.strip(), switch
    if parameter_name == "when":
        return target.strip(), check_condition(str(name), parse_json(value))
    parameter = declaration.parameter(parameter_name)
    if parameter is None:
        known = [item.name for item in declaration.parameters]
        raise StackError(
            f'{name} has no parameter "{parameter_name}"; {nearest(parameter_name, [*known, "on"])}'
        )
    return target.strip(), parse_value(f"{name}.{parameter_name}", parameter, value)


def _stages_from(list_name: str, values: Sequence[Any]) -> Iterator[Stage]:
    seen: Counter[str] = Counter()
    for position, value in enumerate(values):
        if isinstance(value, Stage):
            value = value.to_dict()
        name = value.get("name") if isinstance(value, Mapping) else None
        if isinstance(name, str):
            seen[name] += 1
            where = f"{list_name}:{stage_key(name, seen[name])}"
        else:
            where = f"{list_name}[{position}]"
        yield Stage.from_dict(value, where)


def _check_order(name: str, stages: Sequence[Stage]) -> None:
    if not stages:
        raise StackError(f'{name} is an empty list; it needs at least a chooser, as in [{{"name": "draw"}}]')
    phase = name.partition(".")[0]
    deciding = [key for key, stage in keyed(stages) if stage.declaration.decides]
    for key, stage in keyed(stages):
        declaration = stage.declaration
        if phase in declaration.refused:
            raise StackError(f"{name}:{key} makes no sense in {phase}: {declaration.refused[phase]}")
        if declaration.kind == "guidance" and stage is not stages[0]:
            raise StackError(
                f"{name}:{key} must be the first stage of its list, and the only one of guidance"
            )
    if not deciding:
        raise StackError(f"{name} has no chooser; end it with one, such as greedy or draw")
    if len(deciding) > 1:
        raise StackError(f"{name} has {len(deciding)} choosers ({', '.join(deciding)}); keep one, at the end")
    if not stages[-1].declaration.decides:
        raise StackError(f"{name}:{deciding[0]} decides the token and must be the last stage of its list")


def _index(stages: Sequence[Stage], name: StageName) -> int | None:
    return next((index for index, (key, _) in enumerate(keyed(stages)) if key == name.key), None)


def _insert(stages: list[Stage], name: StageName) -> int:
    """Adds the named stage at its usual place and gives its index."""
    declaration = find(name.stage)
    present = sum(stage.name == name.stage for stage in stages)
    if declaration.decides:
        if name.number != 1:
            raise StackError(f"{name}: a list has one chooser, without a number")
        stages[-1] = Stage(name.stage)
        return len(stages) - 1
    if name.number != present + 1:
        raise StackError(
            f"{name}: the list has {present} of {name.stage}; the next one is number {present + 1}"
        )
    index = _usual_place(stages, declaration)
    after = max((at + 1 for at, stage in enumerate(stages) if stage.name == name.stage), default=index)
    index = max(index, after)
    stages.insert(index, Stage(name.stage))
    return index


def _usual_place(stages: Sequence[Stage], declaration: StageDeclaration) -> int:
    return next(
        (at for at, stage in enumerate(stages) if stage.declaration.place > declaration.place), len(stages)
    )


def _checked_index(target: str, index: Any, most: int) -> int:
    if isinstance(index, bool) or not isinstance(index, int) or not 0 <= index <= most:
        raise StackError(f"{target}: the place must be a whole number from 0 to {most}, not {index!r}")
    return index
