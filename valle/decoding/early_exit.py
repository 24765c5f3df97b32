"""Level 0 without all layers at every step: left early where the model is sure, or drafted early and checked.

Self-speculative decoding as in LayerSkip (arXiv 2404.16710): the early layers draft, all layers decide on
the whole draft in one pass. Since the noise of a step belongs to the step, what is decided is what all layers
would have decided one by one; a draft that is wrong costs time and changes nothing.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from valle.decoding.attention import LastQuery
from valle.decoding.branches import Pair, Passes
from valle.decoding.decide import Situation, decide
from valle.decoding.run import Before, Run
from valle.decoding.trail import Sought
from valle.early_exit import EarlyExit
from valle.errors import UserError
from valle.models.ar_nar import ArNar
from valle.models.staggered import Staggered
from valle.samplers.measures import BIT
from valle.samplers.rows import AttentionMeasures, Rows
from valle.samplers.sampler import States
from valle.step import Step

if TYPE_CHECKING:
    from valle.decoding.branches import Grow

_FLOOR = -80.0


def decode_early(model: ArNar, pair: Pair, run: Run, sought: Sought, grow: Grow) -> Iterator[Step]:
    """Yield one Step a frame, as `decode_ids` does, by the request's early exit.

    Raises UserError for a search, and for a model that cannot be left so early.
    """
    settings = run.request.recipe.early_exit
    assert settings is not None
    settings.check(model.config.layers)
    return _Early(model, pair, run, sought, grow, settings).steps()


def surety(logits: Tensor) -> tuple[float, float]:
    """Entropy in bits and varentropy in bits squared of logits [V]."""
    log_probability = logits.log_softmax(-1)
    probability = log_probability.exp()
    bits = -BIT * log_probability.clamp_min(_FLOOR)
    entropy = (probability * bits).sum()
    return float(entropy), float((probability * (bits - entropy) ** 2).sum())


@dataclass(frozen=True, eq=False)
class _Draft:
    """Tokens that the early layers propose from a step on, and what all layers say, a row of each a token."""

    tokens: list[int]
    conditional: Tensor
    null: Tensor | None


class _Early:
    """One segment in the making; the loop of one token and the loop of drafts share their parts."""

    def __init__(
        self, model: ArNar, pair: Pair, run: Run, sought: Sought, grow: Grow, settings: EarlyExit
    ) -> None:
        self._model, self._pair, self._run, self._sought, self._grow = model, pair, run, sought, grow
        self._settings = settings
        self._history = torch.zeros(sought.limit, dtype=torch.long, device=model.device)
        self._row: Staggered | None = None
        self._null: Staggered | None = None
        """None while there is no guidance."""
        self._sampler = run.sampler(sought.phase, 0)
        self._states = self._sampler.start(1, model.device)

    def steps(self) -> Iterator[Step]:
        draft: _Draft | None = None
        index = 0
        while index < self._sought.limit:
            before = self._run.before(self._sought.place(index))
            if before.ending:
                yield self._run.notice(self._sought.place(index), before)
                return
            begun = time.perf_counter()
            if before.events:
                self._undo(draft)
                draft = None
                self._sampler = self._run.sampler(self._sought.phase, 0)
                self._states = self._sampler.carry(self._states, 1, self._model.device)
            if self._sampler.search is not None:
                raise UserError(
                    f"{self._sampler.search.key} searches with all layers; leave out early exit for it."
                )
            if draft is None and index and self._settings.draft:
                draft = self._drafted(index)
            step = self._decided(index, before, draft)
            draft = self._followed(step, draft)
            yield replace(step, seconds=time.perf_counter() - begun)
            if step.ended:
                return
            index += 1

    def _decided(self, index: int, before: Before, draft: _Draft | None) -> Step:
        """Decide one token: by the draft's pass, or by a pass of its own."""
        exit_layer, drafted = 0, 0
        if draft is None:
            passes, exit_layer = self._passes(index)
        else:
            passes = Passes(draft.conditional[:1], None if draft.null is None else draft.null[:1])
        situation = Situation(self._sampler, passes.conditional, self._rows(index, passes), self._states)
        step, decision = decide(self._run, self._sought.place(index), before, situation)
        self._states = decision.states
        self._history[index] = decision.tokens[0]
        if draft is not None:
            drafted = 1 if draft.tokens[0] == int(step.tokens[0]) else -1
        return replace(step, ended=self._sought.ended(step), exit_layer=exit_layer, drafted=drafted)

    def _followed(self, step: Step, draft: _Draft | None) -> _Draft | None:
        """What is left of a draft after a decision: nothing where another token was decided."""
        if draft is None:
            return None
        if step.drafted < 0 or len(draft.tokens) == 1:
            self._forget(len(draft.tokens) - 1)
            return None
        null = None if draft.null is None else draft.null[1:]
        return _Draft(draft.tokens[1:], draft.conditional[1:], null)

    def _undo(self, draft: _Draft | None) -> None:
        """Take back what was computed before a change, so that the next decision is made after it."""
        if draft is not None:
            self._forget(len(draft.tokens))

    def _forget(self, count: int) -> None:
        for row in (self._row, self._null):
            if row is not None:
                row.back(count)

    def _passes(self, index: int) -> tuple[Passes, int]:
        """The pass of one token, left as early as may be: its logits and the layer, 0 for all."""
        last = LastQuery() if "attention" in self._sampler.needs else None
        if self._row is None:
            self._row = Staggered(self._model, self._pair.conditional, self._sought.limit, last)
            conditional, depth = self._row.first, self._row.layers
        else:
            self._row.append(self._history[index - 1 : index])
            conditional, depth = self._left(self._row, last)
        null = self._null_logits(index, depth)
        early = depth if depth < self._row.layers else 0
        return Passes(conditional, null, _measures(last)), early

    def _left(self, row: Staggered, last: LastQuery | None) -> tuple[Tensor, int]:
        """Run layers until the model is sure; the logits and how many it were."""
        settings = self._settings
        first = row.layers if settings.draft else settings.layer
        for depth in range(first, row.layers + 1):
            row.deepen(depth, last)
            logits = row.answer()
            if depth == row.layers or settings.leaves(*surety(logits[0])):
                return logits, depth
        raise ValueError("a model without layers")

    def _null_logits(self, index: int, depth: int) -> Tensor | None:
        """The null pass, through as many layers; begun by one pass where guidance comes in mid-take."""
        if "null" not in self._sampler.needs:
            self._null = None
            return None
        made = self._history[:index]
        if self._null is None:
            row = self._grow(self._pair.null, made) if index else self._pair.null
            self._null = Staggered(self._model, row, self._sought.limit - index)
            return self._null.first
        self._null.append(made[-1:])
        self._null.deepen(depth)
        return self._null.answer()

    def _drafted(self, index: int) -> _Draft | None:
        """Draft from a step on and have all layers check it; None where guidance has just come in."""
        assert self._row is not None
        guided = "null" in self._sampler.needs
        if "attention" in self._sampler.needs or guided != (self._null is not None):
            return None
        rows = [row for row in (self._row, self._null) if row is not None]
        tokens, states = [int(self._history[index - 1])], self._states
        most = min(self._settings.draft, self._sought.limit - index)
        for ahead in range(most):
            for row in rows:
                row.append(torch.tensor([tokens[-1]]))
                row.deepen(self._settings.layer)
            early = Passes(self._row.answer(), self._null.answer() if self._null is not None else None)
            token, states = self._propose(index + ahead, early, tokens[1:], states)
            tokens.append(token)
            if token == self._sought.stop:
                break
        proposed = tokens[1:]
        for row in rows:
            row.deepen(row.layers)
        answers = [row.answer(len(proposed)) for row in rows]
        return _Draft(proposed, answers[0], answers[1] if self._null is not None else None)

    def _propose(self, index: int, passes: Passes, ahead: list[int], states: States) -> tuple[int, States]:
        """What the stack would choose from early logits, on the noise of that step."""
        made = self._history[: index - len(ahead)]
        past = torch.cat([made, torch.tensor(ahead, dtype=torch.long, device=made.device)])
        rows = self._rows(index, passes, past)
        decision = self._sampler.decide(passes.conditional, rows, states, measure="none")
        return int(decision.tokens[0]), decision.states

    def _rows(self, index: int, passes: Passes, past: Tensor | None = None) -> Rows:
        return Rows.of(
            self._sought.phase,
            seed=self._run.request.seed,
            segment=self._sought.segment,
            step=index,
            past=self._history[:index] if past is None else past,
            stop=self._sought.stop,
            null=passes.null,
            attention=passes.attention,
        )


def _measures(last: LastQuery | None) -> AttentionMeasures | None:
    return None if last is None else last.measures()
