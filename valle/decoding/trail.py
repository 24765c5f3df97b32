"""The hypotheses of a search as they go on, and the way back from the end of each."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray

from valle.decoding.branches import Passes
from valle.decoding.decide import Situation, as_step
from valle.decoding.run import Run
from valle.samplers.functions.search import Tally, beam_children, can_still_win, ranking
from valle.samplers.resolve import EffectiveStage
from valle.samplers.rows import Rows
from valle.samplers.sampler import Decision, Sampler, States, pick, resolve_function
from valle.samplers.stage import Stage
from valle.step import Alternative, Place, Step

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

DECIDES_WITHIN = {"beam_search": "greedy", "best_of": "draw"}
"""The chooser that decides single rows within a search; beams are forced on it."""


@dataclass(frozen=True, slots=True)
class Sought:
    """What is searched: a causal phase of a segment, up to `limit` steps or to the id `stop`."""

    phase: str
    segment: int
    limit: int
    stop: int

    def place(self, index: int) -> Place:
        """Where a step of the phase stands."""
        return Place(self.segment, self.phase, 0, index)

    def ended(self, step: Step) -> str | None:
        """Why a step ends the phase, if it does."""
        if step.tokens[0] == self.stop:
            return "stop"
        return "length" if step.place.step == self.limit - 1 else None


@dataclass(frozen=True, slots=True)
class Moment:
    """One step of all hypotheses: C children, each of a child of the moment before."""

    step: Step
    """Its arrays are over the children."""
    situation: Situation
    """What the children were decided from, a row each."""
    parent: Integers
    """Of each child, its parent's place among the children of the moment before."""
    hypothesis: Integers
    total: Floats
    """Log-probability so far, after the stack."""
    raw: Floats
    """The same as the model gave it."""


@dataclass(frozen=True, slots=True)
class _Live:
    """The L hypotheses that go on."""

    child: Integers
    """Their places among the children of the latest moment."""
    hypothesis: Integers
    total: Floats
    raw: Floats
    past: torch.Tensor
    """Ids so far, [L, step]."""
    states: States


class Trail:
    """The hypotheses of one search."""

    def __init__(self, run: Run, sought: Sought) -> None:
        outer = run.sampler(sought.phase, 0)
        assert outer.search is not None
        self.sought, self.mode = sought, outer.search
        self.guided = "null" in outer.needs
        self.sampler = _within(run, sought.phase, self.mode)
        self.draws = self.mode.stage.name == "best_of"
        self.moments: list[Moment] = []
        self.rows: Sequence[int] = ()
        """Rows of the latest passes that the live hypotheses come from."""
        self._run = run
        self._ended: list[tuple[int, int]] = []
        """Moment and child of each hypothesis that found its end."""
        self._live: _Live | None = None

    @property
    def latest(self) -> torch.Tensor:
        """The latest ids of the live hypotheses, [L]."""
        assert self._live is not None
        return self._live.past[:, -1]

    def decide(self, passes: Passes, begun: float) -> None:
        """Take every live hypothesis one step further; `passes` have a row of each, and began at `begun`."""
        live = self._live or self._first(passes.conditional.device)
        index = len(self.moments)
        logits, null = passes.conditional, passes.null
        if index == 0:
            count = len(live.child)
            logits = logits.expand(count, -1)
            null = None if null is None else null.expand(count, -1)
        rows = Rows.of(
            self.sought.phase,
            len(live.child),
            seed=self._run.request.seed,
            segment=self.sought.segment,
            hypothesis=live.hypothesis,
            step=index,
            past=live.past,
            stop=self.sought.stop,
            null=null,
        )
        situation = Situation(self.sampler, logits, rows, live.states)
        if self.draws:
            row = np.arange(len(live.child))
            decision = self._decided(situation)
        else:
            row, situation, decision = self._beams(situation, live)
        self._remember(live, row, situation, decision, begun)

    def _first(self, device: torch.device) -> _Live:
        """Where all begin: drawn hypotheses are apart from the first step on, beams come from one row."""
        count = self._number if self.draws else 1
        nothing = np.zeros(count)
        past = torch.zeros(count, 0, dtype=torch.long, device=device)
        states = self.sampler.start(count, device)
        number = np.arange(count)
        return _Live(np.zeros(count, np.int64), number, nothing, nothing, past, states)

    def _beams(self, situation: Situation, live: _Live) -> tuple[Integers, Situation, Decision]:
        final = self.sampler.final(situation.logits, situation.rows, situation.states).cpu().numpy()
        row, token = beam_children(final, live.total, self._number, self.sought.stop)
        at = torch.from_numpy(row).to(situation.logits.device)
        picked = Situation(
            self.sampler, situation.logits[at], situation.rows.pick(row), pick(situation.states, at)
        )
        return row, picked, self._decided(picked, torch.from_numpy(token))

    def _decided(self, situation: Situation, forced: torch.Tensor | None = None) -> Decision:
        measure = self._run.measure(self.sought.phase)
        return self.sampler.decide(
            situation.logits, situation.rows, situation.states, measure=measure, forced=forced
        )

    def _remember(
        self, live: _Live, row: Integers, situation: Situation, decision: Decision, begun: float
    ) -> None:
        index = len(self.moments)
        chosen = situation.logits.float().log_softmax(-1).gather(1, decision.tokens[:, None])[:, 0]
        total = live.total[row] + decision.log_probability
        raw = live.raw[row] + chosen.double().cpu().numpy()
        number = live.hypothesis[row] if self.draws else np.arange(len(row))
        stopped = decision.chosen == self.sought.stop
        self._ended += [(index, int(child)) for child in np.flatnonzero(stopped)]
        going = np.flatnonzero(~stopped)
        at = torch.from_numpy(going).to(decision.tokens.device)
        parents = torch.from_numpy(row[going]).to(live.past.device)
        self._live = _Live(
            going,
            number[going],
            total[going],
            raw[going],
            torch.cat([live.past[parents], decision.tokens[at][:, None]], 1),
            pick(decision.states, at),
        )
        # Of the first passes there is one row, whatever the hypotheses.
        self.rows = (row[going] if index else np.zeros(len(going), np.int64)).tolist()
        step = as_step(self._run, self.sought.place(index), situation, decision)
        step = replace(step, choices=step.tokens, seconds=time.perf_counter() - begun)
        self.moments.append(Moment(step, situation, live.child[row], number, total, raw))

    @property
    def over(self) -> bool:
        """Whether no hypothesis is to go on."""
        assert self._live is not None
        if not len(self._live.child):
            return True
        if self.draws or not self._ended:
            return False
        parameters = self.mode.parameters
        if parameters["until"] == "enough":
            return len(self._ended) >= self._number
        best = float(self._scores(self._ended).max())
        return not can_still_win(self._live.total, best, len(self.moments), self.sought.limit, parameters)

    @cached_property
    def _order(self) -> list[tuple[int, int]]:
        """Moment and child of every hypothesis, the best first."""
        assert self._live is not None
        latest = len(self.moments) - 1
        found = self._ended + [(latest, int(child)) for child in self._live.child]
        tally = self._tally(found)
        return [found[place] for place in ranking(tally, self._score(tally))]

    @property
    def best(self) -> tuple[int, int]:
        """The winner's last moment and child."""
        return self._order[0]

    def steps(self, end: tuple[int, int]) -> list[Step]:
        """The Steps that lead to a moment's child; whoever looks is told of them."""
        found: list[Step] = []
        for index, child in self._way(end):
            moment = self.moments[index]
            step = replace(moment.step.at(child), hypothesis=int(moment.hypothesis[child]))
            found.append(replace(step, ended=self.sought.ended(step)))
            if self._run.onlooker is not None:
                self._run.onlooker.decided(found[-1], _row(moment.situation, child))
        return found

    def situation(self, end: tuple[int, int], index: int) -> Situation:
        """What a step on the way to a moment's child was decided from, one row."""
        return _row(self.moments[index].situation, self._way(end)[index][1])

    def others(self) -> tuple[Alternative, ...]:
        """What the search found beside its winner."""
        scores = self._scores(self._order)
        return tuple(
            self._alternative(end, float(score))
            for end, score in zip(self._order[1:], scores[1:], strict=True)
        )

    def score(self, steps: Sequence[Step], moved: float) -> float:
        """The score of a hypothesis of these Steps, with each of its log-probabilities moved by so much."""
        total = sum(float(step.log_probability[0]) for step in steps) + moved * len(steps)
        raw = sum(
            float(step.evidence.chosen[0] - step.evidence.logsumexp[0])
            for step in steps
            if step.evidence is not None
        )
        tally = Tally(
            np.array([len(steps)]),
            np.array([total]),
            np.array([raw + moved * len(steps)]),
            np.array([steps[-1].ended == "stop"]),
        )
        return float(self._score(tally)[0])

    @property
    def _number(self) -> int:
        """How many hypotheses there are at most."""
        number = self.mode.parameters["count" if self.draws else "width"]
        assert isinstance(number, int)
        return number

    def _way(self, end: tuple[int, int]) -> list[tuple[int, int]]:
        """The moments and children that lead to this one, the first first."""
        index, child = end
        way = []
        while index >= 0:
            way.append((index, child))
            child = int(self.moments[index].parent[child])
            index -= 1
        return way[::-1]

    def _alternative(self, end: tuple[int, int], score: float) -> Alternative:
        tokens = [int(self.moments[index].step.tokens[child]) for index, child in self._way(end)]
        stopped = tokens[-1] == self.sought.stop
        last, child = self.moments[end[0]], end[1]
        codes = np.array(tokens[:-1] if stopped else tokens, np.int16)
        return Alternative(codes, float(last.total[child]), score, stopped, int(last.hypothesis[child]))

    def _tally(self, ends: Sequence[tuple[int, int]]) -> Tally:
        moments = [(self.moments[index], child) for index, child in ends]
        return Tally(
            length=np.array([index + 1 for index, _ in ends]),
            total=np.array([moment.total[child] for moment, child in moments]),
            raw=np.array([moment.raw[child] for moment, child in moments]),
            stopped=np.array([moment.step.tokens[child] == self.sought.stop for moment, child in moments]),
        )

    def _scores(self, ends: Sequence[tuple[int, int]]) -> Floats:
        return self._score(self._tally(ends))

    def _score(self, tally: Tally) -> Floats:
        scores: Floats = resolve_function(self.mode.declaration.function)(tally, self.mode.parameters)
        return scores


def _within(run: Run, phase: str, mode: EffectiveStage) -> Sampler:
    """The stages before a search, with a chooser in its place."""
    name = run.stack.list_for(phase)
    chooser = Stage(DECIDES_WITHIN[mode.stage.name])
    return Sampler(run.stack.replace(name, [*run.stack.stages(phase)[:-1], chooser]), phase)


def _row(situation: Situation, row: int) -> Situation:
    at = torch.tensor([row], device=situation.logits.device)
    return Situation(
        situation.sampler, situation.logits[at], situation.rows.pick([row]), pick(situation.states, at)
    )
