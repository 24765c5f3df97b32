"""The command ``valle-lab``: one file per command, nothing heavy imported before a command needs it."""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Sequence

DONE, NEGATIVE, CANNOT, INTERRUPTED = 0, 1, 2, 130
"""Exit codes: done; the work's own verdict is negative; usage, configuration or input; Ctrl-C."""
COMPLETION = "_VALLE_LAB_COMPLETE"
"""Set by a shell that asks for completions, the words being in other variables."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command line and return its exit code.

    Whatever a person can cause is told in one or two lines on stderr; ``--debug`` adds the traceback.
    """
    arguments = list(sys.argv[1:] if argv is None else argv)
    try:
        return _run(arguments)
    except KeyboardInterrupt:
        _complain("interrupted")
        return INTERRUPTED
    # The process boundary: a person gets a sentence, and the traceback only when they ask for it.
    except Exception as error:
        if _wants_traceback(arguments):
            traceback.print_exception(error)
        _complain(_sentence(error))
        return CANNOT


def _run(arguments: list[str]) -> int:
    if not arguments and COMPLETION not in os.environ:
        # Nothing to parse: what parses would hold up the first frame by a tenth of a second.
        from valle_lab.cli.screen import open_screen

        return open_screen()
    from typer import TyperException

    from valle_lab.cli.app import command

    try:
        return command()(arguments, prog_name="valle-lab", standalone_mode=False) or DONE
    except TyperException as error:
        if _wants_traceback(arguments):
            traceback.print_exception(error)
        _complain(f"{_capped(error.format_message())}\n{_hint(error)}")
        return CANNOT


def _wants_traceback(arguments: list[str]) -> bool:
    end = arguments.index("--") if "--" in arguments else len(arguments)
    return "--debug" in arguments[:end]


def _sentence(error: Exception) -> str:
    from valle.errors import UserError

    if isinstance(error, UserError):
        return str(error)
    if isinstance(error, OSError) and error.strerror:
        return f"{error.filename}: {error.strerror}" if error.filename else error.strerror
    return f"unexpected {type(error).__name__}: {error} (--debug shows where)"


def _hint(error: Exception) -> str:
    context = getattr(error, "ctx", None)
    return f"See: {context.command_path if context else 'valle-lab'} --help"


def _complain(message: str) -> None:
    """Print at most two lines, whatever line breaks the message has; a third would be a paragraph."""
    lines = [line.strip() for line in message.splitlines() if line.strip()]
    if len(lines) > 2:
        lines = [" ".join(lines)]
    print("\n".join(lines) or "failed without saying why (--debug shows where)", file=sys.stderr)


def _capped(message: str) -> str:
    return " ".join(message.split())
