"""``valle-lab samplers --export``: a stack in the words of another program."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

from valle.errors import UserError
from valle_lab.cli.output import narrate, print_json
from valle_lab.cli.stacks import read_stack

if TYPE_CHECKING:
    from valle.samplers.stack import Stack


def print_export(program: str, source: str | None, presets: Path, json_output: bool) -> None:
    """Print a file's stack, or a preset's, for a program: what it takes on stdout, what it lacks on stderr.

    Raises UserError for a program, a file or a preset that is not there.
    """
    from valle.samplers.export import export

    if source is None:
        raise UserError(f"--export {program} needs a stack: a .toml or .json file, or a preset's name")
    said = export(_stack(source, presets), program)
    flags = program != "transformers"
    if json_output:
        given = {"flags": said.command_line} if flags else {"arguments": said.arguments}
        print_json({"program": program, **given, "unsaid": list(said.unsaid)})
        return
    print(said.command_line if flags else json.dumps(said.arguments))
    for line in said.unsaid:
        narrate(f"not said: {line}")


def _stack(source: str, presets: Path) -> Stack:
    from valle_lab.presets import find_preset

    file = Path(source)
    if file.is_file() or file.suffix.lower() in (".toml", ".json"):
        return read_stack(file)
    return find_preset(presets, source).stack
