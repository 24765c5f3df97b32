"""`valle-lab doctor`: what works here, what does not, and what would add something."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

import typer

from valle_lab.cli import NEGATIVE
from valle_lab.cli.common import Common
from valle_lab.cli.output import print_json

INDENT = " " * 24


def doctor(
    common: Common,
    json_output: Annotated[bool, typer.Option("--json", help="A list of objects on stdout.")] = False,
) -> int | None:
    """Say what works on this machine, and what would add the rest."""
    from valle_lab.cli.checks import examine

    checks = examine(common.settings())
    if json_output:
        print_json([asdict(check) for check in checks])
    else:
        for check in checks:
            print(f"{check.state:6}  {check.name:15} {check.found}")
            if check.advice:
                print(f"{INDENT}-> {check.advice}")
    return NEGATIVE if any(check.state == "broken" for check in checks) else None
