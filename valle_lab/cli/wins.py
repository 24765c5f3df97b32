"""``valle-lab wins``: over sessions, what won how often against what in blind trials."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from valle_lab.cli.common import Common
from valle_lab.cli.output import narrate, print_json, print_table


def wins(
    common: Common,
    files: Annotated[
        list[Path],
        typer.Argument(metavar="SESSION...", help="Sessions, or journals left behind."),
    ],
    json_output: Annotated[bool, typer.Option("--json", help="A list of objects on stdout.")] = False,
) -> int | None:
    """Count decided blind trials over sessions: what won how often against what, with 95 % intervals."""
    from valle_lab.listening_lines import contest_rows
    from valle_lab.session.save import load_session
    from valle_lab.session.wins import contests

    sessions = [load_session(file) for file in files]
    found = contests(sessions)
    if json_output:
        print_json([contest.to_dict() for contest in found])
        return None
    undecided = {trial.id for session in sessions for trial in session.trials if trial.choice is None}
    if undecided:
        narrate(f"{len(undecided)} trial{'s'[: len(undecided) != 1]} not decided, left out")
    if not found:
        narrate("no trial was decided in these sessions")
    else:
        print_table([[str(cell) for cell in row] for row in contest_rows(found)])
    return None
