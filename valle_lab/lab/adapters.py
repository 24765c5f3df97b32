"""Commands on adapters: put in and taken out while the model stays, stronger or weaker while a take runs."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import TYPE_CHECKING

from valle.adapter_use import AdapterUse, check_strength
from valle.control import Event
from valle.errors import UserError
from valle_lab.lab.registry import command

if TYPE_CHECKING:
    from valle_lab.adapters import AdapterFile
    from valle_lab.lab.lab import Lab


def load(lab: Lab, adapter: str) -> None:
    """Load an adapter, by name or file, `NAME@STRENGTH` at a strength; the model and the takes stay."""
    from valle_lab.adapters import parse_adapters

    found = parse_adapters(adapter, lab.settings.paths.adapters)
    if again := {file for file, _ in found} & {file for file, _ in lab.choice.adapters}:
        raise UserError(f"The adapter {min(again)} is loaded already; adapter.strength changes it.")
    lab.load_adapters((*lab.choice.adapters, *found))


def unload(lab: Lab, adapter: str) -> None:
    """Take an adapter out; the model is then what it was."""
    index = [use.name for use in loaded(lab)].index(_known(lab, adapter).name)
    lab.load_adapters(tuple(item for at, item in enumerate(lab.choice.adapters) if at != index))


def strength(lab: Lab, adapter: str, value: float) -> None:
    """Set how strong an adapter is: 1 as trained, 0 off; while a take runs from its next step on."""
    name = _known(lab, adapter).name
    _change(lab, name, check_strength(name, value))


def switch(lab: Lab, adapter: str, on: bool) -> None:
    """Switch an adapter on, at the strength that it had, or off."""
    use = _known(lab, adapter)
    if on and not use.strength:
        _change(lab, use.name, lab.strengths_before.pop(use.name, 1.0))
    elif not on and use.strength:
        lab.strengths_before[use.name] = use.strength
        _change(lab, use.name, 0.0)


def known(lab: Lab) -> list[AdapterFile]:
    """List the adapters of the adapters folder."""
    from valle_lab.adapters import known_adapters

    return known_adapters(lab.settings.paths.adapters)


def loaded(lab: Lab) -> tuple[AdapterUse, ...]:
    """Show the adapters that are loaded, each with the strength of the next take."""
    return lab.adapters


def _change(lab: Lab, name: str, value: float) -> None:
    lab.adapters = tuple(replace(use, strength=value) if use.name == name else use for use in lab.adapters)
    lab.change_running(Event("adapter", name, value))
    lab.mark("model")


def _known(lab: Lab, name: str) -> AdapterUse:
    for use in lab.adapters:
        if use.name == name:
            return use
    there = ", ".join(use.name for use in lab.adapters) or "none"
    raise UserError(f"There is no adapter {name!r} loaded; there is {there}.")


def _names(lab: Lab) -> Iterable[str]:
    return [use.name for use in lab.adapters]


def _files(lab: Lab) -> Iterable[str]:
    return [item.name for item in known(lab)]


def _not_now(lab: Lab) -> str | None:
    if lab.running:
        return "a take is being made; stop it first."
    return None if lab.description else "no model is loaded yet."


def _none_loaded(lab: Lab) -> str | None:
    return None if lab.adapters else "no adapter is loaded."


def _cannot_unload(lab: Lab) -> str | None:
    return _not_now(lab) or _none_loaded(lab)


COMMANDS = (
    command("adapter.load", load, unavailable=_not_now, complete={"adapter": _files}, rest="adapter"),
    command("adapter.unload", unload, unavailable=_cannot_unload, complete={"adapter": _names}),
    command("adapter.strength", strength, unavailable=_none_loaded, complete={"adapter": _names}),
    command("adapter.switch", switch, unavailable=_none_loaded, complete={"adapter": _names}),
    command("adapter.loaded", loaded),
    command("adapter.list", known),
)
