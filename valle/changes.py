"""What the changes of a take make of its stack."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from types import NoneType
from typing import Any

from valle.control import Event
from valle.errors import UserError
from valle.modes import deciding_phase
from valle.request import Request
from valle.samplers.stack import Stack

_WANTED: Mapping[str, tuple[Any, ...]] = {"add": (Mapping, NoneType), "move": (int,), "switch": (bool,)}


def changed(stack: Stack, event: Event, first: str) -> Stack | None:
    """A stack after one change; None for a kind that changes no stack. Raises UserError where it cannot be
    made.

    `first` is the list that a name without a phase means.
    """
    changes: Mapping[str, Callable[[], Stack]] = {
        "set": lambda: stack.set(event.name, event.value, first),
        "add": lambda: stack.add(event.name, event.value, default_phase=first),
        "remove": lambda: stack.remove(event.name, first),
        "move": lambda: stack.move(event.name, event.value, first),
        "switch": lambda: stack.switch(event.name, event.value, first),
        "replace": lambda: Stack.from_dict(event.value),
    }
    if event.kind not in changes:
        return None
    if not isinstance(event.value, _WANTED.get(event.kind, (object,))):
        raise UserError(f"The event {event.kind} {event.name} cannot have the value {event.value!r}.")
    return changes[event.kind]()


def stack_after(request: Request, events: Iterable[Event]) -> Stack:
    """The stack of a take after these changes."""
    first = deciding_phase(request.task, request.mode)
    stack = request.stack
    for event in events:
        stack = changed(stack, event, first) or stack
    return stack
