"""The lab on a line: the same commands as on the screen, typed, or read from a script."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from shutil import get_terminal_size
from typing import TYPE_CHECKING, Any, TextIO

from valle.errors import UserError
from valle_lab.lab.registry import Command, Registry, command
from valle_lab.lab.state import LabTake
from valle_lab.lines import WIDTH
from valle_lab.repl_views import VIEWS
from valle_lab.text_views import in_words
from valle_lab.waiting import Waiting

if TYPE_CHECKING:
    from valle_lab.lab.lab import Lab

BEHIND = " &"
"""What a line ends with that is not waited for."""
COMMENT = "#"


class ScriptError(UserError):
    """A line of a script could not be done."""


class Repl:
    """Does lines. Results go to `out`, what is told and how far things are to `err`."""

    def __init__(
        self,
        lab: Lab,
        out: TextIO | None = None,
        err: TextIO | None = None,
        progress: Callable[[str], None] = lambda text: None,
        width: int | None = None,
    ) -> None:
        """`progress` is given a line that is written over, empty when there is nothing more to wait for.

        Without a `width` the results are as wide as the terminal, or 80 columns where there is none.
        """
        self.lab = lab
        lab.has_keys = False
        self.commands = Registry([*lab.commands, *VIEWS, *own_commands(self)])
        self.over = False
        self.interactive = False
        """Whether somebody types, and so an audition is not waited for."""
        self._out, self._err = out or sys.stdout, err or sys.stderr
        self._width = width
        self.waiting = Waiting(lab, lambda notice: print(notice.text, file=self._err), progress)

    def do(self, line: str) -> None:
        """Do one line, and wait for what it began unless it ends with `&`. Raises UserError.

        Ctrl-C meanwhile stops the take that is being made, a second time it breaks it off.
        """
        line = line.strip()
        if not line or line.startswith(COMMENT):
            return
        behind = line.endswith(BEHIND)
        name, words = self.commands.parse(line.removesuffix(BEHIND) if behind else line)
        if not _at_once(name):
            self.waiting.until(lambda: self.lab.loading is None)
        result = self.commands.run(self.lab, name, words)
        if not behind:
            result = self.waiting.for_result(result, auditions=not self.interactive)
        if isinstance(result, LabTake) and result.failure:
            return
        self.show(result)

    def show(self, result: Any) -> None:
        """Print what a command gave."""
        width = self._width
        if width is None:
            width = get_terminal_size((WIDTH, 24)).columns if self._out.isatty() else WIDTH
        for line in in_words(result, width):
            print(line, file=self._out)
        self._out.flush()

    def run_script(self, lines: Iterable[str], name: str) -> None:
        """Do all lines, until one cannot be done. Raises ScriptError, which names the line."""
        for number, line in enumerate(lines, 1):
            try:
                self.do(line)
            except UserError as error:
                raise ScriptError(f"{name}, line {number}: {error}") from error
            if self.over:
                return
        self.waiting.until(lambda: not self.lab.busy)

    def help(self, of: str | None) -> list[str]:
        """All commands in a line each, or one in full."""
        if of is None:
            width = max(len(item.usage) for item in self.commands)
            return [f"{item.usage:{min(width, 36)}}  {item.help}" for item in self.commands]
        area = [item for item in self.commands if item.name.startswith(f"{of}.")]
        return [line for item in area or [self.commands[of]] for line in _in_full(item)]


def own_commands(repl: Repl | None = None) -> tuple[Command, ...]:
    """The commands that only a REPL needs; without one to look at, not to give."""

    def help(lab: Lab, command: str | None = None) -> list[str]:
        """List the commands, or say all about one, or about all that begin with a word."""
        return [] if repl is None else repl.help(command)

    def wait(lab: Lab) -> None:
        """Wait until nothing is made, loaded or played any more."""
        if repl is not None:
            repl.waiting.until(lambda: not lab.busy and (lab.player is None or lab.player.state != "playing"))

    def leave(lab: Lab) -> None:
        """Leave the lab; a session that was not saved can be brought back next time."""
        if repl is not None:
            repl.over = True

    def source(lab: Lab, file: str) -> None:
        """Do the lines of a file."""
        if repl is not None:
            repl.run_script(read_script(Path(file).expanduser()), file)

    def names(lab: Lab) -> list[str]:
        return [] if repl is None else [item.name for item in repl.commands]

    return (
        command("help", help, complete={"command": names}),
        command("wait", wait),
        command("source", source, rest="file"),
        command("quit", leave),
    )


def read_script(file: Path) -> list[str]:
    """The lines of a script. Raises UserError where it cannot be read."""
    try:
        return file.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is no text"
        raise UserError(f"{file} cannot be read: {reason}") from None


def _in_full(item: Command) -> list[str]:
    lines = [item.usage, f"    {item.help}"]
    if item.key:
        lines.append(f"    key on the screen: {item.key}")
    for argument in item.arguments:
        default = "" if argument.required or argument.default is None else f", {argument.default} if left out"
        lines.append(f"    {argument.name}: {argument.type_in_words}{default}")
    return lines


def _at_once(name: str) -> bool:
    return name in ("help", "quit", "source") or name.startswith(("settings.", "session.", "model."))


@contextlib.contextmanager
def closing(lab: Lab) -> Any:
    """Close the lab at the end, and say how unsaved takes come back."""
    try:
        yield lab
    finally:
        unsaved = lab.record.unsaved
        lab.close()
        if unsaved:
            print("The session was not saved; session.restore brings it back.", file=sys.stderr)
