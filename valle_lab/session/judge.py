"""Whether a replay is the recorded take: step by step, by what was chosen and by the model's own numbers.

Two questions, asked of every decision. (a) Are the model's logits the recorded ones, within what other
machines, threads and batches explain? The evidence says. (b) Where the stack chose otherwise, would it have
chosen the recorded token with logits moved within that tolerance? The engine says so in `Step.within_reach`.
"""

from __future__ import annotations

import math
from collections.abc import Collection
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from valle.control import Guide
from valle.modes import AT_ONCE
from valle.request import FRAME_RATE
from valle.step import Place, Step
from valle.take import Take
from valle_lab.session.agreement import Agreement, Tolerance, agreement

Mode = Literal["exact", "tolerant", "forced"]
Verdict = Literal["identical", "benign", "diverged", "error"]
Kind = Literal["model", "sampler"]


@dataclass(frozen=True, slots=True)
class Divergence:
    """One decision that came out otherwise; a token is None where one side had ended already."""

    segment: int
    phase: str
    level: int
    step: int
    position: int
    seconds: float
    """Of audio, from the start of the take."""
    recorded: int | None
    replayed: int | None
    margin: float | None
    """Best minus second perturbed score when it was recorded; None where the best had no rival."""


@dataclass(frozen=True, slots=True)
class Judgement:
    """What a replay came to."""

    verdict: Verdict
    kind: Kind | None
    first_divergence: Divergence | None
    decisions: int
    """Tokens that were compared."""
    different: int
    """Those that the stack chose otherwise."""
    evidence_difference: float
    """The largest difference of the model's numbers, in nats."""


class Judge:
    """Sees the steps of a replay one by one and comes to a verdict.

    In `exact` the replay runs freely and is compared until it diverges; else it is fed the recorded tokens
    and compared to the end.
    """

    def __init__(
        self, recorded: Take, mode: Mode, tolerance: Tolerance, past: Collection[Place] = ()
    ) -> None:
        """`past` are the decisions that a fork has from its parent: they were fed, and are fed again."""
        self._take, self._free, self._tolerance = recorded, mode == "exact", tolerance
        self._search_again = mode == "tolerant"
        self._recorded = {step.place: step for step in recorded.steps if len(step.tokens)}
        self._past = frozenset(past)
        self._forced = self._past | {event.place for event in recorded.events if event.kind == "force"}
        self._seen: set[Place] = set()
        self._choice: Divergence | None = None
        """The first decision that came out otherwise."""
        self._model: Divergence | None = None
        """The first decision for which the model's numbers were others."""
        self._unexplained = False
        self._decisions = self._different = 0
        self._largest = 0.0

    def guide(self, place: Place) -> Guide | None:
        """The recorded tokens to feed on at a place; None where nothing was recorded, and in `exact` but for
        the past of a fork.

        Once the verdict is out, nothing more is asked of the engine than to go on: no tolerance, no reach.
        """
        in_past = place in self._past
        step = None if self._free and not in_past else self._recorded.get(place)
        if step is None:
            return None
        guide = Guide(
            step.tokens,
            hypothesis=step.hypothesis,
            search_again=self._search_again and not in_past,
            masked=step.masked,
        )
        if in_past or self._model is not None or self._unexplained:
            return guide
        return replace(
            guide,
            evidence=step.evidence,
            null_evidence=step.null_evidence,
            tolerance=self._tolerance.absolute,
            relative=self._tolerance.relative,
            others=step.others,
        )

    def see(self, step: Step) -> bool:
        """Compare one step; False once the replay has left what was recorded and cannot be fed on."""
        if self._free and self._choice is not None:
            return True
        recorded = self._recorded.get(step.place)
        if not len(step.tokens):
            return self._free or recorded is None
        if recorded is None or recorded.tokens.shape != step.tokens.shape:
            self._differ(step.place, 0, None, int(step.choices[0]), None)
            return self._free
        self._seen.add(step.place)
        self._decisions += len(step.tokens)
        self._compare_evidence(recorded, step)
        if step.place not in self._forced:
            self._compare_choices(recorded, step)
        return self._free or step.ended == recorded.ended

    def judgement(self, whole: bool = True) -> Judgement:
        """The verdict; `whole` is False where the replay was capped before its end."""
        missing = next((step for place, step in self._recorded.items() if place not in self._seen), None)
        if whole and missing is not None and not (self._free and self._choice is not None):
            self._differ(missing.place, 0, int(missing.tokens[0]), None, missing)
        verdict = self._verdict()
        return Judgement(
            verdict=verdict,
            kind=self._kind() if verdict == "diverged" else None,
            first_divergence=None if verdict == "identical" else self._choice or self._model,
            decisions=self._decisions,
            different=self._different,
            evidence_difference=self._largest,
        )

    def _verdict(self) -> Verdict:
        if self._free:
            return "identical" if self._choice is None else "diverged"
        if self._model is not None or self._unexplained:
            return "diverged"
        return "identical" if self._choice is None else "benign"

    def _kind(self) -> Kind | None:
        """In `exact` nothing was moved, so that only other numbers of the model are known as a cause."""
        if self._model is not None:
            return "model"
        return None if self._free else "sampler"

    def _compare_evidence(self, recorded: Step, step: Step) -> None:
        same = recorded.tokens == step.tokens
        for ours, theirs in (
            (recorded.evidence, step.evidence),
            (recorded.null_evidence, step.null_evidence),
        ):
            found = agreement(ours, theirs, same, self._tolerance)
            self._largest = max(self._largest, float(found.difference.max(initial=0.0)))
            self._note_model(found, recorded, step)

    def _note_model(self, found: Agreement, recorded: Step, step: Step) -> None:
        positions = np.flatnonzero(found.beyond)
        if self._model is None and len(positions):
            position = int(positions[0])
            tokens = int(recorded.tokens[position]), int(step.choices[position])
            self._model = self._divergence(step.place, position, *tokens, recorded)

    def _compare_choices(self, recorded: Step, step: Step) -> None:
        for position in np.flatnonzero(step.choices != recorded.tokens).tolist():
            reachable = step.within_reach is not None and bool(step.within_reach[position])
            tokens = int(recorded.tokens[position]), int(step.choices[position])
            self._differ(step.place, position, *tokens, recorded, explained=reachable)

    def _differ(
        self,
        place: Place,
        position: int,
        recorded: int | None,
        replayed: int | None,
        step: Step | None,
        explained: bool = False,
    ) -> None:
        self._different += 1
        self._unexplained |= not explained
        if self._choice is None:
            self._choice = self._divergence(place, position, recorded, replayed, step)

    def _divergence(
        self, place: Place, position: int, recorded: int | None, replayed: int | None, step: Step | None
    ) -> Divergence:
        before = sum(segment.frames for segment in self._take.segments[: place.segment])
        frame = position if place.phase in AT_ONCE else place.step
        margin = float(step.margin[position]) if step is not None and len(step.margin) else math.inf
        return Divergence(
            segment=place.segment,
            phase=place.phase,
            level=place.level,
            step=place.step,
            position=position,
            seconds=round((before + frame) / FRAME_RATE, 3),
            recorded=recorded,
            replayed=replayed,
            margin=margin if math.isfinite(margin) else None,
        )
