"""``valle-lab repl``: the lab's commands on a line, or from a script."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from valle_lab.cli.common import Common
from valle_lab.cli.output import ProgressLine


def repl(
    common: Common,
    script: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Do the lines of a file; - reads stdin.")
    ] = None,
    no_audio: Annotated[bool, typer.Option("--no-audio", help="Play nothing.")] = False,
) -> int | None:
    """Use the lab by typed commands; help lists them, Ctrl-C stops a take, Ctrl-D leaves."""
    from valle_lab.opening import open_lab
    from valle_lab.repl import Repl, closing, read_script

    lines, name = None, ""
    if str(script) == "-" or (script is None and not sys.stdin.isatty()):
        lines, name = sys.stdin.read().splitlines(), "stdin"
    elif script is not None:
        lines, name = read_script(script), str(script)
    lab = open_lab(common.settings(**({"audio.sink": "none"} if no_audio else {})))
    line = ProgressLine()
    session = Repl(lab, progress=line.put)
    lab.start()
    with closing(lab):
        if lines is None:
            from valle_lab.repl_prompt import converse

            converse(session)
        else:
            session.run_script(lines, name)
    return None
