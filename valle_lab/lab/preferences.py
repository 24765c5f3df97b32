"""Commands on the settings: what holds, and what shall hold from now on."""

from __future__ import annotations

import tomllib
from dataclasses import asdict, is_dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from valle.errors import UserError
from valle_lab.lab.registry import command
from valle_lab.settings import Settings, load_settings

if TYPE_CHECKING:
    from valle_lab.lab.lab import Lab


LOADED = ("codec", "device", "dtype", "threads", "attention")
"""Settings that matter when a model is loaded."""


def show(lab: Lab, key: str | None = None) -> dict[str, Any]:
    """Show the settings, or one of them."""
    settings = _flat(lab.settings)
    if key is None:
        return settings
    if key not in settings:
        load_settings(None, {key: ""})
        raise UserError(f"There is no setting {key!r}.")
    return {key: settings[key]}


def change(lab: Lab, key: str, value: str) -> Path:
    """Change a setting here and in lab.toml, which keeps its comments; the value is as lab.toml has it.

    What is about the model holds from the next load on.
    """
    from valle_lab.preferences import write_setting

    parsed = _parsed(value)
    top, _, rest = key.partition(".")
    given = {top: {rest: parsed}} if top == "keys" and rest else {key: parsed}
    lab.settings = _with(lab.settings, load_settings(None, given), key.split("."))
    if key in LOADED:
        loaded: dict[str, Any] = {key: None if (key, parsed) == ("threads", "auto") else parsed}
        lab.choice = replace(lab.choice, **loaded)
    path = write_setting(key, parsed)
    lab.tell(f"{key} = {value} in {path}")
    lab.mark("settings")
    return path


def _parsed(value: str) -> Any:
    """A value as TOML has it; a word without quotes is a text."""
    try:
        return tomllib.loads(f"value = {value}")["value"]
    except tomllib.TOMLDecodeError:
        return value


def _with(settings: Settings, other: Settings, parts: list[str]) -> Settings:
    """The settings with one key of the others."""
    top, *rest = parts
    mine, theirs = getattr(settings, top), getattr(other, top)
    if rest and is_dataclass(mine):
        theirs = replace(mine, **{rest[0]: getattr(theirs, rest[0])})  # type: ignore[type-var]
    elif rest and isinstance(mine, dict):
        theirs = {**mine, **theirs}
    return replace(settings, **{top: theirs})


def _flat(settings: Settings) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in asdict(settings).items():
        if is_dataclass(getattr(settings, key)):
            found |= {f"{key}.{inner}": _plain(each) for inner, each in value.items()}
        else:
            found[key] = value
    return found


def _plain(value: Any) -> Any:
    return str(value) if isinstance(value, Path) else value


def _keys(lab: Lab) -> tuple[str, ...]:
    return tuple(_flat(lab.settings))


COMMANDS = (
    command("settings.show", show, complete={"key": _keys}),
    command("settings.set", change, complete={"key": _keys}, rest="value"),
)
