"""A line to type a command into, with its usage and help as it is typed."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.screen import ModalScreen
from textual.suggester import Suggester
from textual.widgets import Input, Static

from valle_lab.lab import Lab


class CommandLine(ModalScreen[str | None]):
    """Asks for one line; gives None where it was not wanted after all."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "dismiss(None)", "Close", id="command.close", tooltip="Do nothing"),
        Binding("tab", "complete", priority=True, id="command.complete", tooltip="Take what is suggested"),
        Binding("up", "recall(-1)", show=False, id="command.before", tooltip="The command before"),
        Binding("down", "recall(1)", show=False, id="command.after", tooltip="The command after it"),
    ]

    def __init__(self, lab: Lab, start: str = "", typed: Sequence[str] = ()) -> None:
        """`typed` are the lines of before, the latest last."""
        super().__init__()
        self._lab = lab
        self._start = start
        self._lines = [*typed, start]
        self._at = len(typed)

    def compose(self) -> ComposeResult:
        with Vertical(id="line"):
            yield Input(
                self._start,
                placeholder="a command, such as stack.set temperature.value 0.7; tab completes, ↑ recalls",
                suggester=CommandSuggester(self._lab),
                select_on_focus=False,
                id="typed",
            )
            yield Static("", id="usage", markup=False)

    @on(Input.Changed, "#typed")
    def _explain(self, event: Input.Changed) -> None:
        name = event.value.split(" ", 1)[0]
        known = {command.name: command for command in self._lab.commands}
        if name in known:
            words = f"{known[name].usage}: {known[name].help}"
        else:
            words = " ".join(other for other in known if name and other.startswith(name))
        self.query_one("#usage", Static).update(Content(words))

    def action_complete(self) -> None:
        """The cursor to the end, and once more: there it takes the suggestion."""
        entry = self.query_one("#typed", Input)
        entry.action_end()
        entry.action_cursor_right()

    def action_recall(self, by: int) -> None:
        """Another of the lines of before; what was being typed stands behind the last of them."""
        entry = self.query_one("#typed", Input)
        if self._at == len(self._lines) - 1:
            self._lines[-1] = entry.value
        self._at = min(max(self._at + by, 0), len(self._lines) - 1)
        entry.value = self._lines[self._at]
        entry.action_end()

    @on(Input.Submitted, "#typed")
    def _done(self, event: Input.Submitted) -> None:
        self.dismiss(event.value.strip() or None)


class CommandSuggester(Suggester):
    """Completes names of commands, then their arguments, from the registry."""

    def __init__(self, lab: Lab) -> None:
        super().__init__(use_cache=False, case_sensitive=True)
        self._lab = lab

    async def get_suggestion(self, value: str) -> str | None:
        return next((line for line in completions(self._lab, value) if line != value), None)


def completions(lab: Lab, line: str) -> Iterable[str]:
    """Whole lines that begin with this one."""
    name, space, tail = line.partition(" ")
    if not space:
        return (command.name for command in lab.commands if command.name.startswith(name))
    command = {command.name: command for command in lab.commands}.get(name)
    words = tail.split(" ")
    if command is None or len(words) > len(command.arguments):
        return ()
    complete = command.arguments[len(words) - 1].complete
    before = " ".join((name, *words[:-1]))
    return (f"{before} {word}" for word in (complete(lab) if complete else ()) if word.startswith(words[-1]))
