"""Commands on the sampler stack; while a take runs each takes effect at its next step."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from valle.control import Event
from valle.errors import UserError
from valle.samplers.declaration import plain
from valle.samplers.stack import Stack, parse_setting
from valle.samplers.stage import keyed
from valle.samplers.stages import STAGES
from valle.samplers.values import Condition, Curve
from valle_lab.lab.registry import command

if TYPE_CHECKING:
    from valle_lab.lab.lab import Lab


def set_parameter(lab: Lab, name: str, value: object) -> None:
    """Set a parameter, such as `temperature.value` or `nar.3:top_k.k`; a stage that is missing is added."""
    parsed = parse_setting(f"{name}={value}")[1] if isinstance(value, str) else value
    plain = _plain(parsed)
    lab.change_stack(current(lab).set(name, plain), Event("set", name, plain))


def add(lab: Lab, stage: str) -> None:
    """Add a stage at its usual place; a chooser takes the place of the one there."""
    lab.change_stack(current(lab).add(stage), Event("add", stage))


def remove(lab: Lab, stage: str) -> None:
    """Take a stage out."""
    lab.change_stack(current(lab).remove(stage), Event("remove", stage))


def move(lab: Lab, stage: str, place: int) -> None:
    """Move a stage to another place of its list, counted from 0."""
    lab.change_stack(current(lab).move(stage, place), Event("move", stage, place))


def switch(lab: Lab, stage: str, on: bool) -> None:
    """Switch a stage on or off."""
    lab.change_stack(current(lab).switch(stage, on), Event("switch", stage, on))


def reset(lab: Lab) -> None:
    """Go back to the model's own stack."""
    if lab.description is None:
        raise UserError("No model is loaded yet.")
    _replace(lab, lab.description.default_stack)


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


def _replace(lab: Lab, stack: Stack) -> None:
    lab.change_stack(stack, Event("replace", value=stack.to_dict()))


def _follow(lab: Lab, stack: Stack) -> None:
    """Let the running take have the stack that undo or redo has put back."""
    lab.change_running(Event("replace", value=stack.to_dict()))
    lab.mark("stack")


def _plain(value: Any) -> Any:
    return value.to_dict() if isinstance(value, Condition | Curve) else plain(value)


def _present(lab: Lab) -> Iterator[str]:
    for phase, stages in lab.stack.lists.items() if lab.stack else ():
        for key, _ in keyed(stages):
            yield key if phase == "ar" else f"{phase}:{key}"


def _parameters(lab: Lab) -> Iterator[str]:
    for phase, stages in lab.stack.lists.items() if lab.stack else ():
        for key, stage in keyed(stages):
            for parameter in stage.declaration.parameters:
                yield f"{'' if phase == 'ar' else phase + ':'}{key}.{parameter.name}"


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
    command("stack.reset", reset),
    command("stack.undo", undo, key="alt+z", unavailable=_nothing_to_undo),
    command("stack.redo", redo, key="alt+y", unavailable=_nothing_to_redo),
    command("stack.show", show),
)
