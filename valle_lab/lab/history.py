"""Undo and redo for a value that is replaced as a whole."""

from __future__ import annotations

from typing import Generic, TypeVar

Value = TypeVar("Value")
MOST = 200


class History(Generic[Value]):
    """The value now, what it was before, and what was undone."""

    def __init__(self, value: Value) -> None:
        self._past: list[Value] = []
        self._value = value
        self._future: list[Value] = []

    @property
    def value(self) -> Value:
        """The value now."""
        return self._value

    @property
    def can_undo(self) -> bool:
        """Whether there is an earlier value."""
        return bool(self._past)

    @property
    def can_redo(self) -> bool:
        """Whether something was undone since the last change."""
        return bool(self._future)

    def change(self, value: Value) -> None:
        """Replace the value; an equal one changes nothing."""
        if value == self._value:
            return
        self._past = [*self._past, self._value][-MOST:]
        self._value = value
        self._future.clear()

    def merge(self) -> None:
        """Make the latest change one with that before it: both are undone at once."""
        if len(self._past) > 1:
            self._past.pop()

    def undo(self) -> Value:
        """Go back by one value, if there is one."""
        if self._past:
            self._future.append(self._value)
            self._value = self._past.pop()
        return self._value

    def redo(self) -> Value:
        """Go forward by one value, if there is one."""
        if self._future:
            self._past.append(self._value)
            self._value = self._future.pop()
        return self._value
