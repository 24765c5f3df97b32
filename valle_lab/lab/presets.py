"""Commands that take or keep a whole stack: presets, a person's own ones, the default of every session."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from valle.errors import UserError
from valle.samplers import presets as package
from valle.samplers.stack import Stack
from valle_lab.lab.registry import command
from valle_lab.lab.stack import current, replace_stack
from valle_lab.presets import NAME, STACKS, find_preset, preset_names

if TYPE_CHECKING:
    from valle_lab.lab.lab import Lab


def load(lab: Lab, name: str) -> None:
    """Take the stack of a preset, your own or one of the known systems; what it leaves out is the model's."""
    replace_stack(lab, fitted(lab, name, find_preset(folder(lab), name).stack))


def fitted(lab: Lab, name: str, stack: Stack) -> Stack:
    """The stack of a preset for the loaded model: its own where the preset says nothing. Raises UserError."""
    if lab.description is None:
        raise UserError("No model is loaded yet; the stack comes with it.")
    phases = lab.description.default_stack.lists
    fitting = {key: stages for key, stages in stack.lists.items() if key.partition(".")[0] in phases}
    if not fitting:
        raise UserError(
            f"The preset {name} has stages for {', '.join(stack.lists)}; the model has none of these."
        )
    return Stack(fitting).over(lab.description.default_stack)


def save(lab: Lab, name: str) -> Path:
    """Keep the stack as a preset of your own; one of that name is written over."""
    from valle_lab.preferences import write_table

    if not NAME.fullmatch(name):
        raise UserError(
            f"The preset name {name[:80]!r} is not possible: use letters, digits, _ and -, at most 64."
        )
    if name in package.preset_names():
        raise UserError(f"There is a preset {name!r} of a known system; give yours another name.")
    path = write_table({STACKS: current(lab).to_dict()}, folder(lab) / f"{name}.toml")
    lab.tell(f"Preset saved: {path}")
    return path


def save_default(lab: Lab) -> Path:
    """Begin every session with this stack; lab.toml keeps its comments."""
    from valle_lab.preferences import write_setting

    path = write_setting(STACKS, current(lab).to_dict())
    lab.tell(f"Every session begins with this stack: {path}")
    return path


def names(lab: Lab) -> tuple[str, ...]:
    """List the presets, your own first."""
    return preset_names(folder(lab))


def folder(lab: Lab) -> Path:
    """Where a person's own presets are kept."""
    return lab.settings.paths.presets


COMMANDS = (
    command("stack.preset", load, complete={"name": names}),
    command("stack.save_preset", save),
    command("stack.save_default", save_default),
    command("stack.presets", names),
)
