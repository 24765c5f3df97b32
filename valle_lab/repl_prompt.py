"""The prompt of the REPL: completion with help, history, and a line at the bottom that says what goes on."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

from prompt_toolkit import PromptSession
from prompt_toolkit.completion import CompleteEvent, Completer, Completion
from prompt_toolkit.document import Document
from prompt_toolkit.history import FileHistory, History, InMemoryHistory

from valle import folders
from valle.errors import UserError
from valle_lab.lab.registry import Command
from valle_lab.repl import Repl

REFRESH = 0.2


def converse(repl: Repl) -> None:
    """Ask for lines until the person leaves; errors are one line each and end nothing."""
    session: PromptSession[str] = PromptSession(
        history=_history(),
        completer=LabCompleter(repl),
        complete_while_typing=False,
        refresh_interval=REFRESH,
        bottom_toolbar=lambda: _toolbar(repl),
    )
    repl.interactive = True
    while not repl.over:
        try:
            repl.do(session.prompt("lab> "))
        except KeyboardInterrupt:
            continue
        except EOFError:
            return
        except UserError as error:
            print(error, file=sys.stderr)


class LabCompleter(Completer):
    """Names of commands with their help, then what an argument can be."""

    def __init__(self, repl: Repl) -> None:
        self._repl = repl

    def get_completions(self, document: Document, complete_event: CompleteEvent) -> Iterator[Completion]:
        text = document.text_before_cursor.lstrip()
        name, space, tail = text.partition(" ")
        if not space:
            for item in self._repl.commands:
                if name in item.name:
                    yield Completion(item.name, -len(name), display_meta=item.help)
            return
        found = next((item for item in self._repl.commands if item.name == name), None)
        if found is not None:
            yield from self._arguments(found, tail)

    def _arguments(self, found: Command, tail: str) -> Iterator[Completion]:
        words = tail.split(" ")
        index = min(len(words), len(found.arguments)) - 1
        if index < 0:
            return
        argument = found.arguments[index]
        begun = " ".join(words[index:]) if argument.rest else words[-1]
        if argument.complete is None:
            return
        try:
            choices = list(argument.complete(self._repl.lab))
        except UserError:
            return
        for choice in choices:
            if choice.startswith(begun):
                yield Completion(choice, -len(begun), display_meta=argument.name)


def _toolbar(repl: Repl) -> str:
    """What goes on; taking it in here is what lets takes go on behind the prompt."""
    repl.waiting.poll()
    lab = repl.lab
    seed = "new each time" if lab.seed is None else str(lab.seed)
    model = lab.description.model if lab.description else "no model"
    return (
        repl.waiting.doing()
        or f"{model}, voice {lab.resolved_voice() or 'none'}, seed {seed}; help lists the commands"
    )


def _history() -> History:
    """A person's own lines of all sessions, where they can be kept."""
    file: Path = folders.data() / "repl-history"
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.touch()
    except OSError:
        return InMemoryHistory()
    return FileHistory(str(file))
