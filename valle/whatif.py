"""What another stack would have made of a take: plain numbers, made by `valle.decoding.whatif`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from valle.step import Floats, Integers, StageMeasures, Step


@dataclass(frozen=True, slots=True)
class WhatIf:
    """The decisions of level 0 along a take, as another stack decides them on the same logits and noise.

    Arrays are [rows]: the decisions of all segments in order, as on the timeline.
    """

    take: str
    segment: Integers
    step: Integers
    tokens: Integers
    """What the take took."""
    choices: Integers
    """What this stack takes there; where a recorded change forces a token and is kept, that one."""
    runner_up: Integers
    margin: Floats
    """Best minus second perturbed score of this stack's choice."""
    log_probability: Floats
    """Of its choice under its final distribution, in nats."""
    exact: NDArray[np.bool_]
    """Where this is what a run with that stack does; after a change the codes would be others, and it is
    hypothetical: what the stack makes of codes that it would not have had."""
    passes: tuple[int, ...] = ()
    """Segments whose logits were made again by one pass, since they were not kept or had no null pass: their
    last digits are others than those that the take was made from."""
    measured: tuple[StageMeasures, ...] = ()
    """After each stage, of the rows from `first` on that were asked for, ranks and probabilities of this
    stack's choice; only of the first of them that have the same stages."""
    first: int = 0
    failure: str = ""
    """Why there is nothing of the rows after the last one, if the stack leaves some row without a token."""

    @property
    def changed(self) -> NDArray[np.bool_]:
        """The rows in which this stack takes another token."""
        return np.not_equal(self.choices, self.tokens)

    @property
    def first_change(self) -> int | None:
        """The first such row."""
        changed = np.flatnonzero(self.changed)
        return int(changed[0]) if len(changed) else None


def decisions(steps: Sequence[Step], segment: int) -> list[Step]:
    """The decisions of level 0 of a segment, in order."""
    return [
        step
        for step in steps
        if step.place.segment == segment and step.place.phase == "ar" and len(step.tokens)
    ]
