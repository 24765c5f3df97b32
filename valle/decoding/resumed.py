"""Passes that are kept of a take, for another take that begins in the same way."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

from torch import Tensor

from valle.decoding.branches import Passes
from valle.models.arch.observer import Observer


class Branches(Protocol):
    """What answers a phase that is written id by id."""

    def next(
        self, made: Tensor, guided: bool, attended: bool = False, observer: Observer | None = None
    ) -> Passes:
        """Answer what follows `made`, all tokens so far [step]; see `StepByStep.next`."""


@runtime_checkable
class Rewindable(Protocol):
    """Branches that can be gone back to."""

    @property
    def memory(self) -> int:
        """Bytes of the caches."""

    def after(self, step: int) -> Branches | None:
        """Independent branches as they were after the pass of a decision; None where they cannot tell."""


class Resumed:
    """The first passes of a phase as they were kept, and then branches that go on from the last of them.

    To whoever asks it is as if the passes were made again: all of them have the same bits.
    """

    def __init__(self, kept: Sequence[Passes], on: Branches | None) -> None:
        """`on` are the branches after the last of the kept passes; None where no other pass will be asked."""
        self._kept, self._on = kept, on

    @property
    def memory(self) -> int:
        """Bytes of the caches."""
        return self._on.memory if isinstance(self._on, Rewindable) else 0

    def next(
        self, made: Tensor, guided: bool, attended: bool = False, observer: Observer | None = None
    ) -> Passes:
        """Answer what follows `made`; an observer sees only passes that are made."""
        if len(made) < len(self._kept):
            kept = self._kept[len(made)]
            return Passes(
                kept.conditional, kept.null if guided else None, kept.attention if attended else None
            )
        assert self._on is not None
        return self._on.next(made, guided, attended, observer)

    def after(self, step: int) -> Branches | None:
        """Independent branches as they were after the pass of a decision; None where they cannot tell."""
        return self._on.after(step) if isinstance(self._on, Rewindable) else None
