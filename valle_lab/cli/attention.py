"""``valle-lab attention``: which attention backends there are, and why one cannot be used here."""

from __future__ import annotations

from typing import Annotated

import typer

from valle_lab.cli.common import Common
from valle_lab.cli.output import narrate, print_json, print_table


def attention(
    common: Common,
    json_output: Annotated[bool, typer.Option("--json", help="A list of objects on stdout.")] = False,
) -> int | None:
    """List the attention backends for the device and dtype of the settings, and which one auto takes."""
    import torch

    from valle.models.arch.attention import availability, resolve

    settings = common.settings()
    device, dtype = settings.device, settings.dtype
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    if dtype == "auto":
        dtype = "float32" if device == "cpu" else "bfloat16"
    auto = resolve("auto", device, dtype)
    found = availability(device, dtype)
    if json_output:
        print_json(
            [
                {
                    "name": each.backend.name,
                    "aliases": list(each.backend.aliases),
                    "help": each.backend.help,
                    "usable": each.problem is None,
                    "problem": each.problem,
                    "tested": each.backend.tested,
                    "auto": each.backend.name == auto,
                }
                for each in found
            ]
        )
        return None
    rows = [
        (
            each.backend.name,
            "yes" if each.problem is None else "no",
            each.backend.tested,
            each.problem or each.backend.help,
        )
        for each in found
    ]
    print_table([("backend", "usable", "tested", "what it is, or why not"), *rows])
    narrate(f"for {device} in {dtype}; auto takes {auto}")
    return None
