"""The lab on screen, as the command line opens it: with typer or, where nothing is to be parsed, without."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from valle.errors import UserError

if TYPE_CHECKING:
    from valle_lab.settings import Settings

DUMB = "dumb"
"""What a terminal is called that only appends lines, such as an editor's shell."""


def open_screen(config: Path | None = None, **given: Any) -> int:
    """Open the lab with these settings of the command line, and return its exit code.

    Raises UserError where there is no terminal that could show it, and for settings that are not possible.
    """
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise UserError(
            'The lab needs a terminal, and here is none; to speak without one: valle-lab say "TEXT"'
        )
    if os.environ.get("TERM") == DUMB:
        raise UserError(
            f"This terminal cannot show the lab (TERM={DUMB}); valle-lab repl has the same commands."
        )
    from valle_lab.tui import run

    def settings() -> Settings:
        from valle_lab.settings import load_settings

        return load_settings(config, given)

    return run(settings)
