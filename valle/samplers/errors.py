"""Errors of the samplers that a user can cause, and the nearest name to a misspelt one."""

from __future__ import annotations

import difflib
from collections.abc import Sequence

from valle.errors import UserError


class StackError(UserError):
    """A stack, a stage or a setting that cannot be used; the message names it and says what to do."""


class RowError(UserError):
    """A row of logits that no token can be chosen from; names the step, the stage and the row."""

    def __init__(self, message: str, *, step: int, stage: str, row: int) -> None:
        super().__init__(message)
        self.step, self.stage, self.row = step, stage, row


def nearest(name: str, known: Sequence[str]) -> str:
    """The part of a message that helps a reader who misspelt ``name``: the nearest known name, or all of
    them."""
    lowered = name.lower().replace("-", "_")
    close = difflib.get_close_matches(lowered, known, n=1, cutoff=0.5)
    if not close:
        squeezed = {item.replace("_", ""): item for item in known}
        close = [
            squeezed[match] for match in difflib.get_close_matches(lowered.replace("_", ""), squeezed, n=1)
        ]
    if close:
        return f'the nearest is "{close[0]}"'
    return "known are " + ", ".join(known) if known else "there are none"
