"""The lab on a line: the same commands as on the screen, typed, or read from a script."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Callable, Iterable
from concurrent.futures import Future
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from valle.errors import UserError
from valle_lab.lab.audition import Audition
from valle_lab.lab.registry import Command, Registry, command
from valle_lab.lab.stack import current
from valle_lab.lab.state import LabTake, News
from valle_lab.lab.takes import named
from valle_lab.lab.timeline import Measure
from valle_lab.text_views import AXES, in_words, timeline_lines
from valle_lab.views import AttentionLook, AttentionView, LevelView, Look, StepView

if TYPE_CHECKING:
    from valle_lab.lab.lab import Lab

PAUSE = 0.03
"""Seconds between two looks at what has come."""
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
        width: int = 80,
    ) -> None:
        """`progress` is given a line that is written over, empty when there is nothing more to wait for."""
        self.lab = lab
        self.commands = Registry([*lab.commands, *VIEWS, *own_commands(self)])
        self.over = False
        self.interactive = False
        """Whether somebody types, and so an audition is not waited for."""
        self._out, self._err = out or sys.stdout, err or sys.stderr
        self._progress = progress
        self._width = width

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
            self.wait(lambda: self.lab.loading is None)
        result = self.commands.run(self.lab, name, words)
        if not behind:
            self.wait(lambda: self._is_there(result))
        if isinstance(result, LabTake) and result.failure:
            return
        self.show(result)

    def _is_there(self, result: Any) -> bool:
        """Whether what a command began is done."""
        if isinstance(result, Future):
            return result.done()
        if isinstance(result, Audition):
            return result.over or self.interactive
        running = isinstance(result, LabTake) and result.running
        return not running and not self.lab.answers

    def show(self, result: Any) -> None:
        """Print what a command gave. Raises its error where it is one."""
        for line in in_words(result, self._width):
            print(line, file=self._out)
        self._out.flush()

    def wait(self, reached: Callable[[], bool]) -> None:
        """Take in what comes until that is so."""
        interrupted = False
        while True:
            try:
                self.tell(self.lab.poll())
                if reached():
                    break
                self._progress(self.doing())
                time.sleep(PAUSE)
            except KeyboardInterrupt:
                if self.lab.running is None:
                    raise
                self.lab.run("take.cancel" if interrupted else "take.stop")
                interrupted = True
        self._progress("")

    def tell(self, news: News) -> None:
        """Print what the lab has to tell."""
        if news.notices:
            self._progress("")
        for notice in news.notices:
            print(notice.text, file=self._err)

    def doing(self) -> str:
        """What is under way, in one line; empty where nothing is."""
        lab = self.lab
        if lab.loading is not None:
            return f"{lab.loading.doing} {lab.loading.fraction:.0%}"
        take = lab.running
        if take is not None and take.begun is not None:
            line = take.timeline
            entropy = f", {line.entropy[-1]:.1f} bits" if len(line) else ""
            rate = f", {line.steps_per_second:.0f} steps/s" if line.steps_per_second else ""
            return f"{take.name}: {line.doing(take.begun.request)}{entropy}{rate}"
        if lab.player is not None and lab.player.state == "playing":
            return f"playing {lab.player.position:.1f}/{lab.player.duration:.1f} s"
        return ""

    def run_script(self, lines: Iterable[str], name: str) -> None:
        """Do all lines, until one cannot be done. Raises ScriptError, which names the line."""
        for number, line in enumerate(lines, 1):
            try:
                self.do(line)
            except UserError as error:
                raise ScriptError(f"{name}, line {number}: {error}") from error
            if self.over:
                return
        self.wait(lambda: not self.lab.busy)

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
            repl.wait(lambda: not lab.busy and (lab.player is None or lab.player.state != "playing"))

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


def step_view(lab: Lab, row: int | None = None, position: int = 0) -> Future[StepView]:
    """Show why a token was chosen: each stage, the logits, the best candidates; by default the newest."""
    take = named(lab, None)
    return lab.see(Look(take.name, _place(lab, take, row), position, bins=20))


def supposed_view(lab: Lab, row: int | None = None, position: int = 0) -> Future[StepView]:
    """Show what the stack as it is now would have chosen there, on the same logits and noise."""
    take, stack = named(lab, None), current(lab).to_dict()
    return lab.see(Look(take.name, _place(lab, take, row), position, bins=20, stack=stack))


def timeline_view(lab: Lab, measure: str = "entropy") -> list[str]:
    """Show a measure over all decisions of the chosen take."""
    known: dict[str, Measure] = {name: name for name in AXES}
    if measure not in known:
        raise UserError(f"There is no measure {measure[:40]!r}; there are {', '.join(AXES)}.")
    return timeline_lines(named(lab, None).timeline, known[measure])


def attention_view(lab: Lab, row: int | None = None, segment: int | None = None) -> Future[AttentionView]:
    """Show where the heads look, and which of them read along the text."""
    return lab.attend(AttentionLook(named(lab, None).name, segment, row, aligned=True))


def level_view(lab: Lab) -> list[LevelView]:
    """Show the passes of the NAR: entropy and margin of each level."""
    return named(lab, None).levels


VIEWS = (
    command("view.step", step_view),
    command("view.suppose", supposed_view),
    command("view.timeline", timeline_view, complete={"measure": lambda lab: AXES}),
    command("view.attention", attention_view),
    command("view.levels", level_view),
)
"""The views of the screen in words."""


def read_script(file: Path) -> list[str]:
    """The lines of a script. Raises UserError where it cannot be read."""
    try:
        return file.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is no text"
        raise UserError(f"{file} cannot be read: {reason}") from None


def _place(lab: Lab, take: LabTake, row: int | None) -> Any:
    row = lab.row if row is None else row
    if row is None:
        return None if not len(take.timeline) else take.timeline.place(len(take.timeline) - 1)
    if not 0 <= row < len(take.timeline):
        raise UserError(f"{take.name} has the decisions 0 to {len(take.timeline) - 1}, not {row}.")
    return take.timeline.place(row)


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
