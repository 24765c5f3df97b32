"""``valle-lab presets``: the stacks of known systems, or one of them in full."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from valle_lab.cli.common import Common
from valle_lab.cli.output import print_json, print_table

if TYPE_CHECKING:
    from valle.samplers.presets import Preset


def presets(
    common: Common,
    name: Annotated[str | None, typer.Argument(metavar="[PRESET]", help="Show this one in full.")] = None,
    json_output: Annotated[bool, typer.Option("--json", help="A list of objects on stdout.")] = False,
) -> int | None:
    """List the presets of a stack, or show one in full."""
    from valle_lab import presets as known

    folder = common.settings().paths.presets
    chosen = (known.find_preset(folder, name),) if name is not None else known.presets(folder)
    if json_output:
        print_json([preset.to_dict() for preset in chosen])
    elif name is not None:
        _print_in_full(chosen[0])
    else:
        print_table([("preset", "system", "mode", "tuned for"), *map(_row, chosen)])
    return None


def _row(preset: Preset) -> tuple[str, ...]:
    return preset.name, preset.title, preset.mode, preset.tokens


def _print_in_full(preset: Preset) -> None:
    print(f"{preset.name} ({preset.title})")
    print(f"mode    {preset.mode}\nvalues  from {preset.source}\ntuned   for {preset.tokens}")
    for name, stages in preset.stack.to_dict().items():
        print(f"\n{name}")
        for stage in stages:
            values = (f"{key}={value}" for key, value in stage.items() if key != "name")
            print(" ".join((" ", stage["name"], *values)))
    print()
    for note in preset.notes:
        print(f"- {note}")
