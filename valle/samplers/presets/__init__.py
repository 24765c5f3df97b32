"""Presets: the sampling of known systems as stacks, one TOML file each, read without torch.

Every system has tokens of its own, so a preset says where its values come from, which tokens they were tuned
for, and what of the system cannot be said with the stages that there are.
"""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from valle.errors import UserError
from valle.samplers.errors import nearest
from valle.samplers.stack import Stack

FOLDER = Path(__file__).parent
MODES = ("ar+nar", "nar-len")


@dataclass(frozen=True, slots=True)
class Preset:
    """A mode and its stacks. ``source`` is where the values stand, ``tokens`` what they were tuned for,
    ``notes`` what does not carry over."""

    name: str
    title: str
    mode: str
    tokens: str
    source: str
    notes: tuple[str, ...]
    stack: Stack

    def to_dict(self) -> dict[str, Any]:
        """The preset in the types of JSON."""
        return {
            "name": self.name,
            "title": self.title,
            "mode": self.mode,
            "tokens": self.tokens,
            "source": self.source,
            "notes": list(self.notes),
            "stacks": self.stack.to_dict(),
        }


def preset_names() -> tuple[str, ...]:
    """The names of all presets, sorted."""
    return tuple(sorted(file.stem for file in FOLDER.glob("*.toml")))


def find_preset(name: str) -> Preset:
    """The preset of that name.

    Raises UserError, which names the nearest known preset, where there is none.
    """
    known = preset_names()
    if name not in known:
        raise UserError(f'there is no preset "{name}"; {nearest(name, known)}')
    table = tomllib.loads((FOLDER / f"{name}.toml").read_text(encoding="utf-8"))
    return Preset(
        name=name,
        title=table["title"],
        mode=table["mode"],
        tokens=table["tokens"],
        source=table["source"],
        notes=tuple(table["notes"]),
        stack=Stack.from_dict(table["stacks"]),
    )


def presets() -> tuple[Preset, ...]:
    """All presets, by name."""
    return tuple(map(find_preset, preset_names()))
