"""What screen and REPL show of one step: plain numbers and numpy arrays, made by the worker when asked.

Probabilities and ranks say where they were taken: `raw` is the model's own distribution, `final` what the
chooser saw. Entropies and divergences are in bits.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from valle.step import Place, StageMeasures, Step

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
    stack: Mapping[str, Any] | None = None
    """Another stack, as a dict, to see what it would have chosen from the same logits on the same noise."""

    @property
    def newest(self) -> bool:
        """Whether it follows a take that runs."""
        return self.place is None


@dataclass(frozen=True, slots=True)
class TakeLook:
    """What another stack would have made of a take; the answer is a `valle.whatif.WhatIf`."""

    take: str
    stack: Mapping[str, Any] | None = None
    """As a dict; None is the take's own, with the changes that were made to it."""
    changes: bool = False
    """Whether those changes come upon this stack too."""
    first: int = 0
    last: int = 0
    """Rows of the timeline from `first` to before `last` are measured: those in view."""

    @property
    def newest(self) -> bool:
        """A take that runs is followed."""
        return True


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


def stage_views(step: Step) -> tuple[StageView, ...]:
    """The waterfall as the step's own measures tell it; their means where it decided many positions."""
    before = [None, *step.measures[:-1]]
    return tuple(_stage_view(now, earlier) for now, earlier in zip(step.measures, before, strict=True))


def _stage_view(now: StageMeasures, before: StageMeasures | None) -> StageView:
    return StageView(
        stage=now.stage,
        runs=True,
        kept=round(float(now.kept.mean())),
        removed=float(now.removed.mean()),
        entropy=float(now.entropy.mean()),
        varentropy=float(now.varentropy.mean()),
        divergence=float(now.divergence.mean()),
        rank_before=round(float((before or now).rank.mean())),
        rank=round(float(now.rank.mean())),
        probability=float(now.probability.mean()),
        stop_probability=float(now.stop_probability.mean()),
        top=float("nan"),
    )


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
    supposed: bool
    """Whether all but `token` is what another stack would have made of it; the ranks are of its choice."""
    waterfall: tuple[StageView, ...]
    histogram: Histogram
    candidates: CandidateTable
    symbols: Mapping[int, str] = field(default_factory=dict)
    """What ids stand for, where the phase writes phonemes or text."""

    def named(self, token: int) -> str:
        """An id as it is shown: with what it stands for."""
        symbol = "stop" if token == self.stop else self.symbols.get(token, "")
        return f"{token} {symbol}" if symbol and token != self.stop else symbol or str(token)


PARTS = ("text", "prompt", "response")
"""What the shares of attention are of; the rest falls on language, level and separators."""


@dataclass(frozen=True, slots=True)
class AttentionLook:
    """Which attention is to be looked at: that of one decision of level 0, and what a segment's text got."""

    take: str
    segment: int | None = None
    """None is the newest."""
    row: int | None = None
    """Which decision of the segment, from 0; None is the newest."""
    over: int = 1
    """The shares are means over so many decisions, the last of them that one."""
    layer: int | None = None
    head: int | None = None
    """The head that is shown in detail, beside the layer; None where none is."""
    aligned: bool = False
    """Whether the map of phonemes against time is wanted too."""

    @property
    def newest(self) -> bool:
        """Whether it follows a take that runs."""
        return self.row is None


@dataclass(frozen=True, slots=True)
class HeadView:
    """What one head looks at in one decision: its weight on every position of each part."""

    layer: int
    head: int
    text: NDArray[np.float32]
    """[phonemes]"""
    prompt: NDArray[np.float32]
    """[prompt frames], empty without a voice."""
    response: NDArray[np.float32]
    """[frames so far]"""


@dataclass(frozen=True, slots=True)
class Reader:
    """A head that reads along the text."""

    layer: int
    head: int
    monotony: float
    """0 to 1: what it gathers on its best way along the text, beyond what staring at one place would."""


@dataclass(frozen=True, slots=True)
class Alignment:
    """Which phoneme is being spoken when, from the heads that read along, weighted by how well they do."""

    readers: tuple[Reader, ...]
    """The best first."""
    map: NDArray[np.float32]
    """[decisions, phonemes], weights."""
    path: NDArray[np.int32]
    """[decisions], the phoneme that each is at."""


@dataclass(frozen=True, slots=True)
class AttentionView:
    """Where the model looks."""

    take: str
    segment: int
    row: int
    rows: int
    """Decisions of the segment so far; the n-th decides frame n."""
    symbols: tuple[str, ...]
    """The phonemes as the model gets them, start and end included."""
    shares: NDArray[np.float32]
    """[layers, heads, 3], in the order of PARTS."""
    head: HeadView | None
    alignment: Alignment | None


@dataclass(frozen=True, slots=True)
class LevelView:
    """What one level's pass of the NAR was like, frame by frame."""

    segment: int
    level: int
    entropy: NDArray[np.float32]
    """[frames], raw, in bits."""
    final_entropy: NDArray[np.float32]
    margin: NDArray[np.float32]
    """[frames], best minus second perturbed score."""
    rank: NDArray[np.int32]
    """[frames], raw rank of the chosen code."""
    seconds: float
    """That the pass took."""
