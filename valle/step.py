"""What one decision of a phase looks like from outside: numbers and numpy arrays, no tensor of the model.

Arrays are over the positions that a step decides: one in the autoregressive phases, every frame in a pass of
`nar`. Measures are in bits, evidence in nats.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, fields, replace
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from valle.control import Event

Floats = NDArray[np.floating[Any]]
Integers = NDArray[np.integer[Any]]
Numbers = TypeVar("Numbers", "StageMeasures", "Evidence")


@dataclass(frozen=True, slots=True, order=True)
class Place:
    """Where a decision stands in a take; events are keyed by it."""

    segment: int
    phase: str
    level: int
    step: int

    def __str__(self) -> str:
        return f"{self.segment}/{self.phase}.{self.level}:{self.step}"


@dataclass(frozen=True, slots=True)
class StageMeasures:
    """The distribution as it left one stage; every array is [positions]."""

    stage: str
    """`raw`, the stage's name in the stack, or `final`; the last of a step is always the final one."""
    kept: Integers
    removed: Floats
    """Probability mass that this stage took away, 0 to 1."""
    entropy: Floats
    varentropy: Floats
    divergence: Floats
    """Kullback-Leibler divergence of this distribution from the raw one, in bits."""
    rank: Integers
    """Rank of the chosen token, 0 for the most likely."""
    probability: Floats
    """Probability of the chosen token."""
    stop_probability: Floats


MEASURE_NAMES = tuple(each.name for each in fields(StageMeasures) if each.name != "stage")


@dataclass(frozen=True, slots=True)
class Evidence:
    """What a replay is judged by: a few numbers of the model's own float32 logits, before any stage."""

    logsumexp: Floats
    chosen: Floats
    """Raw logit of the chosen id, [positions]."""
    top_ids: Integers | None = None
    """Ids of the 8 highest raw logits, [positions, 8]; autoregressive phases only."""
    top_logits: Floats | None = None


@dataclass(frozen=True, slots=True)
class Alternative:
    """A hypothesis that a search did not take."""

    codes: Integers
    """[frames]; the decision to stop is none."""
    log_probability: float
    """Of all its decisions, after the stack, in nats."""
    score: float
    """What it was compared by, the higher the better."""
    stopped: bool
    hypothesis: int = 0
    """Whose noise its last decision had."""


@dataclass(frozen=True, slots=True)
class Step:
    """One decision of a phase, or, with no tokens, the notice that events ended the phase."""

    take: str
    place: Place
    tokens: Integers
    """What was fed on, [positions]; empty where a `finish` or `cancel` ended the phase."""
    choices: Integers
    """What the stack chose; differs from `tokens` only where a token was forced or recorded."""
    hypothesis: int = 0
    """Which hypothesis of a search this was, and so whose noise it had."""
    others: tuple[Alternative, ...] = ()
    """Where a search ended with this step: what else it found, the best first."""
    events: tuple[Event, ...] = ()
    """The changes that took effect before this decision."""
    ended: str | None = None
    """Why the phase ended with this step: `stop`, `length`, `finish` or `cancel`."""
    log_probability: Floats = field(default_factory=lambda: np.zeros(0, np.float32))
    """Of the choice under the final distribution, in nats."""
    runner_up: Integers = field(default_factory=lambda: np.zeros(0, np.int16))
    margin: Floats = field(default_factory=lambda: np.zeros(0, np.float32))
    """Best minus second perturbed score."""
    measures: tuple[StageMeasures, ...] = ()
    """From raw to final, in the order of the stack; only the two ends where nobody looks in between."""
    evidence: Evidence | None = None
    null_evidence: Evidence | None = None
    within_reach: NDArray[np.bool_] | None = None
    """Where the choice differs from a recorded token: whether the numeric tolerance explains it.

    After the first position that it does not explain, nobody asks any more, and it is False.
    """
    masked: NDArray[np.bool_] | None = None
    """Where a round of `nar_len` decided anew; elsewhere the id is as it was."""
    exit_layer: int = 0
    """How many layers it was decided by; 0 is all of them."""
    drafted: int = 0
    """1 where early layers had drafted this token, -1 where another one, 0 where none."""
    seconds: float = 0.0
    """Wall time that this step took to compute; information only."""

    def at(self, position: int) -> Step:
        """The decision of one position alone."""
        here = slice(position, position + 1)
        return replace(
            self,
            tokens=self.tokens[here],
            choices=self.choices[here],
            log_probability=self.log_probability[here],
            runner_up=self.runner_up[here],
            margin=self.margin[here],
            measures=tuple(_at(measures, here) for measures in self.measures),
            evidence=None if self.evidence is None else _at(self.evidence, here),
            null_evidence=None if self.null_evidence is None else _at(self.null_evidence, here),
            within_reach=None if self.within_reach is None else self.within_reach[here],
            masked=None if self.masked is None else self.masked[here],
        )


def _at(numbers: Numbers, here: slice) -> Numbers:
    """The same numbers of these positions."""
    values = {item.name: getattr(numbers, item.name) for item in fields(numbers)}
    chosen: dict[str, Any] = {
        name: value[here] for name, value in values.items() if isinstance(value, np.ndarray)
    }
    return replace(numbers, **chosen)


def stage_names(steps: Sequence[Step]) -> list[str]:
    """All stages that were measured at any step, those of a later one behind their neighbour there."""
    names: list[str] = []
    for step in steps:
        after = 0
        for item in step.measures:
            if item.stage not in names:
                names.insert(after, item.stage)
            after = names.index(item.stage) + 1
    return names
