"""Presets by name: a person's own, one TOML file each in a folder, before those of known systems."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

from valle.errors import UserError
from valle.samplers import presets as package
from valle.samplers.errors import nearest
from valle.samplers.presets import Preset
from valle.samplers.stack import Stack

NAME = re.compile(r"[^\W_][\w-]{0,63}")
STACKS = "stacks"


def preset_names(folder: Path) -> tuple[str, ...]:
    """The names of all presets, one's own first."""
    return (*_own_names(folder), *package.preset_names())


def presets(folder: Path) -> tuple[Preset, ...]:
    """All presets, one's own first. Raises UserError for a file of one's own that is broken."""
    return tuple(find_preset(folder, name) for name in preset_names(folder))


def find_preset(folder: Path, name: str) -> Preset:
    """The preset of a name.

    Raises UserError, with the nearest name, where there is none, and for a file of one's own that is broken.
    """
    if name in _own_names(folder):
        return _own(folder / f"{name}.toml")
    if name not in package.preset_names():
        raise UserError(f'there is no preset "{name}"; {nearest(name, preset_names(folder))}')
    return package.find_preset(name)


def _own_names(folder: Path) -> tuple[str, ...]:
    return tuple(file.stem for file in sorted(folder.glob("*.toml")) if NAME.fullmatch(file.stem))


def _own(file: Path) -> Preset:
    try:
        stack = Stack.from_dict(tomllib.loads(file.read_text(encoding="utf-8")).get(STACKS))
    except (OSError, ValueError, UserError) as error:
        raise UserError(f"{file} cannot be used: {error}".replace("\n", " ")) from None
    mode = "ar+nar" if "ar" in stack.lists or "nar_len" not in stack.lists else "nar-len"
    return Preset(file.stem, "your own", mode, "", file.name, (), stack)
