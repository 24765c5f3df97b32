"""What screen and REPL show of one step: plain numbers and numpy arrays, made by the worker when asked.

Probabilities and ranks say where they were taken: `raw` is the model's own distribution, `final` what the
chooser saw. Entropies and divergences are in bits.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from valle.step import Place

BINS = 60
CANDIDATES = 20


@dataclass(frozen=True, slots=True)
class Look:
    """What is to be looked at: one decision of one take."""

    take: str
    place: Place | None = None
    """None is the newest step."""
    position: int = 0
    """Which frame, where the step decides many; 0 in the autoregressive phases."""
    bins: int = BINS
    """Of the histogram."""
    candidates: int = CANDIDATES
    """Rows of the table."""


@dataclass(frozen=True, slots=True)
class StageView:
    """One line of the waterfall: the distribution as it left this stage. The first line is `raw`."""

    stage: str
    """The stage's key, as `stack.set` takes it without the phase."""
    runs: bool
    """False where the stage is switched off or does nothing; it then has the numbers of the line above."""
    kept: int
    removed: float
    """Probability mass that this stage took away, 0 to 1."""
    entropy: float
    varentropy: float
    divergence: float
    """Kullback-Leibler divergence from raw."""
    rank_before: int
    """Rank of the chosen token as it entered this stage, 0 for the most likely."""
    rank: int
    """Rank of the chosen token after it."""
    probability: float
    """Of the chosen token."""
    stop_probability: float
    """NaN where the phase has no stop token."""
    top: float
    """Probability of the most likely token."""


@dataclass(frozen=True, slots=True)
class Histogram:
    """Logits raw and final, counted on one axis."""

    edges: NDArray[np.float32]
    """[bins + 1], ascending."""
    raw: NDArray[np.int32]
    """[bins]"""
    final: NDArray[np.int32]
    raw_banned: int
    """How many are -inf, which no bin counts."""
    final_banned: int
    chosen: tuple[float, float]
    """The chosen token's logit, raw and final; -inf where it was taken away."""
    stop: tuple[float, float] | None
    """The stop token's, None where the phase has none."""


@dataclass(frozen=True, slots=True)
class CandidateTable:
    """The best ids, by final probability, then by raw."""

    points: tuple[str, ...]
    """`raw`, then each stage that runs; the last one is final."""
    ids: NDArray[np.int32]
    """[N]"""
    logit: NDArray[np.float32]
    """[points, N], -inf where an id cannot be taken."""
    probability: NDArray[np.float32]
    """[points, N]"""
    cumulative: NDArray[np.float32]
    """[N], the final probabilities added up from the top."""


@dataclass(frozen=True, slots=True)
class StepView:
    """Why this token: everything about one decision."""

    take: str
    place: Place
    position: int
    positions: int
    """How many the step decided at once."""
    token: int
    """What was fed on."""
    choice: int
    """What the stack chose; differs from `token` where that was forced."""
    runner_up: int
    margin: float
    """Best minus second perturbed score."""
    log_probability: float
    """Of the choice, final, in nats."""
    chooser: str
    """The key of the stage that chose."""
    stop: int | None
    """Id of the stop token, None where the phase has none."""
    remade: bool
    """Whether the logits are not those that the take was made from, but were made again."""
    waterfall: tuple[StageView, ...]
    histogram: Histogram
    candidates: CandidateTable
