"""Commands on the sampler stack; while a take runs each takes effect at its next step.

A stage that is named without a phase is one of the phase that decides level 0 of the next take. Events carry
the phase, as the running take may be of another task or mode.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from valle.control import Event
from valle.errors import UserError
from valle.samplers.declaration import plain
from valle.samplers.lint import lint
from valle.samplers.naming import parse_parameter, parse_stage
from valle.samplers.stack import Stack, parse_setting
from valle.samplers.stage import Stage, keyed
from valle.samplers.stages import STAGES
from valle.samplers.values import MEASURES, Condition, Curve
from valle_lab.lab.modes import deciding
from valle_lab.lab.registry import command

if TYPE_CHECKING:
    from valle_lab.lab.lab import Lab


def set_parameter(lab: Lab, name: str, value: object) -> None:
    """Set a parameter, such as `temperature.value` or `nar.3:top_k.k`; a stage that is missing is added."""
    stage, parameter = parse_parameter(name, deciding(lab))
    target = f"{stage}.{parameter}"
    plain = _plain(parse_setting(f"{target}={value}")[1] if isinstance(value, str) else value)
    lab.change_stack(current(lab).set(target, plain), Event("set", target, plain))


def add(lab: Lab, stage: str) -> None:
    """Add a stage at its usual place; a chooser takes the place of the one there."""
    name = _named(lab, stage)
    lab.change_stack(current(lab).add(name), Event("add", name))


def remove(lab: Lab, stage: str) -> None:
    """Take a stage out."""
    name = _named(lab, stage)
    lab.change_stack(current(lab).remove(name), Event("remove", name))


def move(lab: Lab, stage: str, place: int) -> None:
    """Move a stage to another place of its list, counted from 0."""
    name = _named(lab, stage)
    lab.change_stack(current(lab).move(name, place), Event("move", name, place))


def switch(lab: Lab, stage: str, on: bool) -> None:
    """Switch a stage on or off."""
    name = _named(lab, stage)
    lab.change_stack(current(lab).switch(name, on), Event("switch", name, on))


def duplicate(lab: Lab, stage: str) -> None:
    """Put a second stage of the same kind and values right behind one."""
    name = parse_stage(stage, deciding(lab))
    stack = current(lab)
    stages = list(stack.stages(name.list))
    keys = [key for key, _ in keyed(stages)]
    if name.key not in keys:
        raise UserError(f"{name.list} has no {name.key}; it has {', '.join(keys)}.")
    at = keys.index(name.key)
    if stages[at].declaration.decides:
        raise UserError(f"{name} decides the token; there can be only one such stage.")
    stages.insert(at + 1, stages[at])
    replace_stack(lab, stack.replace(name.list, stages))


def set_curve(lab: Lab, name: str, curve: str) -> None:
    """Let a parameter follow a curve: `linear FROM TO BEGIN END`, `cosine ...`, `list ...`, or JSON.

    It follows the step, or with `over entropy` at the end a measure.
    """
    set_parameter(lab, name, curve if curve.lstrip().startswith("{") else _curve(curve))


def set_condition(lab: Lab, stage: str, measure: str, above: str = "-", below: str = "-") -> None:
    """Let a stage act only where entropy or varentropy is above and below these bits; `-` leaves one out."""
    bounds = {"above": _bound("above", above), "below": _bound("below", below)}
    when = {"measure": measure, **{key: value for key, value in bounds.items() if value is not None}}
    set_parameter(lab, f"{stage}.when", when if len(when) > 1 else None)


def check(lab: Lab) -> tuple[str, ...]:
    """What is odd about the stack, though it can be used."""
    return tuple(f"{remark.list}: {remark.stage}: {remark.text}" for remark in lint(current(lab)))


def reset(lab: Lab) -> None:
    """Go back to the model's own stack."""
    if lab.description is None:
        raise UserError("No model is loaded yet.")
    replace_stack(lab, lab.description.default_stack)


def undo(lab: Lab) -> None:
    """Undo the last change of the stack."""
    if lab.stacks is not None:
        _follow(lab, lab.stacks.undo())


def redo(lab: Lab) -> None:
    """Do an undone change of the stack again."""
    if lab.stacks is not None:
        _follow(lab, lab.stacks.redo())


def show(lab: Lab) -> dict[str, Any]:
    """Show the stack as it is."""
    return current(lab).to_dict()


def current(lab: Lab) -> Stack:
    """The stack; UserError where no model has named one yet."""
    if lab.stack is None:
        raise UserError("No model is loaded yet; the stack comes with it.")
    return lab.stack


def replace_stack(lab: Lab, stack: Stack) -> None:
    """Put another stack in the place of the whole one."""
    lab.change_stack(stack, Event("replace", value=stack.to_dict()))


def _follow(lab: Lab, stack: Stack) -> None:
    """Let the running take have the stack that undo or redo has put back."""
    lab.change_running(Event("replace", value=stack.to_dict()))
    lab.mark("stack")


def _named(lab: Lab, stage: str) -> str:
    """A stage's name with its phase."""
    return str(parse_stage(stage, deciding(lab)))


def _plain(value: Any) -> Any:
    return value.to_dict() if isinstance(value, Condition | Curve) else plain(value)


def _curve(words: str) -> dict[str, Any]:
    """A curve in few words as a dict."""
    head, _, over = words.partition(" over ")
    kind, *numbers = head.split()
    try:
        values = [float(number) for number in numbers]
    except ValueError:
        raise UserError(
            f"The curve {words[:60]!r} must be a kind and numbers, like linear 1.0 0.6 0 75."
        ) from None
    if kind in ("linear", "cosine") and len(values) == 4:
        curve: dict[str, Any] = {"curve": kind, "values": values[:2], "begin": values[2], "end": values[3]}
    elif kind == "list" and values:
        curve = {"curve": kind, "values": values}
    else:
        raise UserError(f"The curve {words[:60]!r} must be like linear 1.0 0.6 0 75, or a curve as JSON.")
    return curve | ({"over": over.strip()} if over else {})


def _bound(name: str, word: str) -> float | None:
    if word == "-":
        return None
    try:
        return float(word)
    except ValueError:
        raise UserError(
            f"{name} must be a number of bits, or - to leave it out, not {word[:40]!r}."
        ) from None


def _present(lab: Lab) -> Iterator[str]:
    for prefix, key, _ in _stages(lab):
        yield f"{prefix}{key}"


def _parameters(lab: Lab) -> Iterator[str]:
    for prefix, key, stage in _stages(lab):
        for parameter in stage.declaration.parameters:
            yield f"{prefix}{key}.{parameter.name}"


def _stages(lab: Lab) -> Iterator[tuple[str, str, Stage]]:
    """Every stage with the phase that its name needs, and its name in its list."""
    for phase, stages in lab.stack.lists.items() if lab.stack else ():
        for key, stage in keyed(stages):
            yield "" if phase == deciding(lab) else f"{phase}:", key, stage


def _nothing_to_undo(lab: Lab) -> str | None:
    return None if lab.stacks and lab.stacks.can_undo else "there is nothing to undo."


def _nothing_to_redo(lab: Lab) -> str | None:
    return None if lab.stacks and lab.stacks.can_redo else "nothing was undone."


COMMANDS = (
    command("stack.set", set_parameter, complete={"name": _parameters}, rest="value"),
    command("stack.add", add, complete={"stage": lambda lab: STAGES}),
    command("stack.remove", remove, complete={"stage": _present}),
    command("stack.move", move, complete={"stage": _present}),
    command("stack.switch", switch, complete={"stage": _present}),
    command("stack.duplicate", duplicate, complete={"stage": _present}),
    command("stack.curve", set_curve, complete={"name": _parameters}, rest="curve"),
    command("stack.when", set_condition, complete={"stage": _present, "measure": lambda lab: MEASURES}),
    command("stack.lint", check),
    command("stack.reset", reset),
    command("stack.undo", undo, key="alt+z", unavailable=_nothing_to_undo),
    command("stack.redo", redo, key="alt+y", unavailable=_nothing_to_redo),
    command("stack.show", show),
)
