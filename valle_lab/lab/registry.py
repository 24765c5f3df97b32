"""Commands as data: the palette, the footer, help, completion and the documentation are made from these."""

from __future__ import annotations

import difflib
import inspect
import shlex
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, get_args, get_type_hints

from valle.errors import UserError

if TYPE_CHECKING:
    from valle_lab.lab.lab import Lab

Completer = Callable[["Lab"], Iterable[str]]
TRUTHS = {
    "true": True,
    "on": True,
    "yes": True,
    "1": True,
    "false": False,
    "off": False,
    "no": False,
    "0": False,
}


class CommandError(UserError):
    """A command that does not exist, may not be given now, or has the wrong arguments."""


def always(lab: Lab) -> str | None:
    """For commands that can be given at any time."""
    return None


@dataclass(frozen=True, slots=True)
class Argument:
    """One argument of a command, as its function's signature declares it."""

    name: str
    type: type
    required: bool
    default: Any = None
    rest: bool = False
    """Takes all the words that are left, as one text."""
    complete: Completer | None = None

    @property
    def type_in_words(self) -> str:
        """What it has to be, for help and messages."""
        return _words(self.type)

    def parse(self, command: str, value: Any) -> Any:
        """The value in the argument's type; words of a line are converted, numbers are checked.

        Raises CommandError naming command, argument and value.
        """
        if value is None and not self.required:
            return None
        if isinstance(value, str):
            value = self._from_word(value)
        if self.type is float and type(value) is int:
            value = float(value)
        if not isinstance(value, self.type) or (self.type is int and isinstance(value, bool)):
            raise CommandError(f"{command}: {self.name} must be {self.type_in_words}, not {value!r}.")
        return value

    def _from_word(self, word: str) -> Any:
        if self.type is bool:
            return TRUTHS.get(word.lower(), word)
        if self.type in (int, float):
            with suppress(ValueError):
                return self.type(word)
        return word


@dataclass(frozen=True, slots=True)
class Command:
    """Something a person can do in the lab, by key, palette, REPL or script."""

    name: str
    """`area.action`"""
    help: str
    run: Callable[..., Any]
    """Called with the lab and the arguments."""
    arguments: tuple[Argument, ...] = ()
    key: str = ""
    """The default key; may be rebound in the settings."""
    footer: str = ""
    """A word for the footer, where the command deserves a place there."""
    unavailable: Callable[[Lab], str | None] = always
    """Why the command cannot be given now, or None."""

    @property
    def title(self) -> str:
        """As the palette shows it."""
        return self.name.replace(".", ": ", 1).replace("_", " ")

    @property
    def usage(self) -> str:
        """The command with its arguments, optional ones in brackets."""
        words = (a.name if a.required else f"[{a.name}]" for a in self.arguments)
        return " ".join((self.name, *words))

    @property
    def needs_arguments(self) -> bool:
        """Whether it cannot be given by its name alone."""
        return any(argument.required for argument in self.arguments)


def command(
    name: str,
    run: Callable[..., Any],
    *,
    key: str = "",
    footer: str = "",
    unavailable: Callable[[Lab], str | None] = always,
    complete: dict[str, Completer] | None = None,
    rest: str = "",
) -> Command:
    """A command from a function: arguments from the signature, help from the docstring's first line."""
    hints = _hints(run)
    parameters = list(inspect.signature(run).parameters.values())[1:]
    arguments = tuple(
        Argument(
            name=parameter.name,
            type=_plain_type(hints[parameter.name]),
            required=parameter.default is inspect.Parameter.empty,
            default=None if parameter.default is inspect.Parameter.empty else parameter.default,
            rest=parameter.name == rest,
            complete=(complete or {}).get(parameter.name),
        )
        for parameter in parameters
    )
    text = (inspect.getdoc(run) or "").splitlines()[0]
    return Command(name, text, run, arguments, key, footer, unavailable)


class Registry:
    """All commands by name, in the order in which they are shown."""

    def __init__(self, commands: Iterable[Command]) -> None:
        self._commands: dict[str, Command] = {}
        for item in commands:
            if item.name in self._commands:
                raise ValueError(f"two commands are named {item.name}")
            self._commands[item.name] = item

    def __iter__(self) -> Iterator[Command]:
        return iter(self._commands.values())

    def __getitem__(self, name: str) -> Command:
        if name not in self._commands:
            near = difflib.get_close_matches(name, self._commands, n=1)
            hint = f"did you mean {near[0]}?" if near else "help lists them."
            raise CommandError(f"There is no command {name!r}; {hint}")
        return self._commands[name]

    def run(self, lab: Lab, name: str, arguments: Sequence[Any]) -> Any:
        """Check availability and arguments, and do it. Raises CommandError, or what the command raises."""
        found = self[name]
        if (reason := found.unavailable(lab)) is not None:
            raise CommandError(f"{name}: {reason}")
        return found.run(lab, *_bound(found, arguments))

    def parse(self, line: str) -> tuple[str, list[str]]:
        """A line as typed: the command's name and its words. Raises CommandError."""
        name, _, tail = line.strip().partition(" ")
        found = self[name]
        whole = [i for i, argument in enumerate(found.arguments) if argument.rest]
        try:
            words = tail.split(None, whole[0]) if whole else shlex.split(tail)
        except ValueError:
            raise CommandError(f"{name}: a quotation mark is not closed.") from None
        return name, words


def _bound(found: Command, given: Sequence[Any]) -> list[Any]:
    if len(given) > len(found.arguments):
        raise CommandError(f"Too many arguments; usage: {found.usage}")
    if any(argument.required for argument in found.arguments[len(given) :]):
        raise CommandError(f"An argument is missing; usage: {found.usage}")
    values = [
        argument.parse(found.name, value) for argument, value in zip(found.arguments, given, strict=False)
    ]
    return values + [argument.default for argument in found.arguments[len(given) :]]


def _hints(run: Callable[..., Any]) -> dict[str, Any]:
    """The types of a function's arguments; what it returns need not be importable here."""
    declared = {name: hint for name, hint in run.__annotations__.items() if name != "return"}
    holder = type("Arguments", (), {"__annotations__": declared})
    return get_type_hints(holder, run.__globals__, {"Lab": object})


def _plain_type(hint: Any) -> type:
    """`str` of `str | None`; object where anything goes."""
    options = [option for option in get_args(hint) if option is not type(None)] or [hint]
    return options[0] if len(options) == 1 and isinstance(options[0], type) else object


def _words(kind: type) -> str:
    words = {int: "a whole number", float: "a number", bool: "on or off", str: "a text", object: "a value"}
    return words.get(kind, kind.__name__)
