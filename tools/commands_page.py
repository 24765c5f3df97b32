"""Write the page of all commands of the lab from their registry.

python tools/commands_page.py docs/commands.md
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path

from valle_lab.lab.commands import all_commands
from valle_lab.lab.registry import Argument, Command
from valle_lab.repl import own_commands
from valle_lab.repl_views import VIEWS

AREAS = {
    "take": "Takes",
    "text": "Text",
    "seed": "Seed",
    "voice": "Voice",
    "stack": "Stack",
    "whatif": "What-if",
    "fork": "Rewind and fork",
    "audition": "Audition",
    "sheet": "Seed sheets",
    "ab": "A/B",
    "trial": "Blind trials",
    "model": "Model",
    "mode": "Tasks and modes",
    "edit": "A recording's own words",
    "adapter": "Adapters",
    "layers": "Layers",
    "session": "Session",
    "settings": "Settings",
    "view": "Views, in the REPL",
    "": "The REPL itself",
}

INTRODUCTION = """\
# The commands

This page is made from the lab's registry of commands with `make docs`; `help` in `valle-lab repl` and the \
palette of the screen (Ctrl+P) are made from the same.

A command is given by its name and its arguments, on the screen after F2, in the REPL, in a script for \
`valle-lab repl --script`, or in Python as `lab.run("stack.set", "temperature.value", 0.7)`. Arguments in \
brackets can be left out. Words with spaces stand in quotation marks, but for the last argument of the \
commands marked with …, which takes the rest of the line as it is. Keys can be changed in \
[lab.toml](../lab.toml), table `[keys]`.
"""


def page() -> str:
    """The page in Markdown."""
    commands = [*all_commands(), *VIEWS, *own_commands()]
    ordered = sorted(commands, key=lambda item: list(AREAS).index(_area(item)))
    parts = [INTRODUCTION]
    for area, members in groupby(ordered, key=_area):
        parts.append(f"\n## {AREAS[area]}\n\n| command | key | does |\n|---|---|---|\n")
        parts += [line for item in members for line in _row(item)]
    return "".join(parts)


def _area(item: Command) -> str:
    area, dot, _ = item.name.partition(".")
    return area if dot else ""


def _row(item: Command) -> Iterator[str]:
    usage = " ".join([item.name, *map(_argument, item.arguments)])
    key = f"`{item.key}`" if item.key else ""
    yield f"| `{usage}` | {key} | {item.help.replace('|', '&#124;')} |\n"


def _argument(argument: Argument) -> str:
    name = f"{argument.name}…" if argument.rest else argument.name
    return name if argument.required else f"[{name}]"


def main() -> None:
    """Write the page to the file that is named."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("file", type=Path)
    parser.parse_args().file.write_text(page(), encoding="utf-8")


if __name__ == "__main__":
    main()
