"""The passes that one decision is made from: the conditional one, and the null pass while guidance wants it.

In one batch of two rows or in two passes of one, as the recipe says: the same but for the last digits.
"""

from __future__ import annotations

from collections.abc import Callable
from copy import copy
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from valle.decoding.attention import LastQuery, WithoutPadding
from valle.models.ar_nar import ArNar
from valle.models.arch.cache import Cache
from valle.models.arch.observer import Both, Observer
from valle.models.base import Inputs
from valle.request import Recipe
from valle.samplers.rows import AttentionMeasures

ONE_BATCH = "one batch"

Grow = Callable[[Inputs, Tensor], Inputs]
"""Puts the ids made so far, [step], into a row."""


@dataclass(frozen=True, eq=False)
class Pair:
    """One row in both forms: with its text and voice, and as the null pass gets it."""

    conditional: Inputs
    null: Inputs

    @property
    def rows(self) -> tuple[Inputs, Inputs]:
        return self.conditional, self.null

    def given(self, response: Tensor, level: int = 0, masked: bool = False) -> Pair:
        """Both with these codes [frames, levels] made, and asked for this level."""
        return Pair(
            replace(self.conditional, response=response, level=level, masked=masked),
            replace(self.null, response=response, level=level, masked=masked),
        )


@dataclass(frozen=True, eq=False)
class Passes:
    """Raw logits [R, V] of both passes; without guidance there is no null pass.

    `attention` is that of the conditional pass, where it was asked for.
    """

    conditional: Tensor
    null: Tensor | None = None
    attention: AttentionMeasures | None = None

    def of_last(self, rows: int) -> Passes:
        """The same of the last rows alone."""
        if len(self.conditional) == rows:
            return self
        null = None if self.null is None else self.null[-rows:]
        return Passes(self.conditional[-rows:], null, self.attention)


def in_one_pass(model: ArNar, pair: Pair, recipe: Recipe, guided: bool) -> Passes:
    """Answer all positions of a row at once, [T, V]."""
    rows = [pair.conditional, pair.null] if guided else [pair.conditional]
    batches = [rows] if recipe.guidance == ONE_BATCH else [[row] for row in rows]
    answers = [logits for batch in batches for logits in model.full(batch)]
    return Passes(answers[0], answers[1] if guided else None)


class StepByStep:
    """A causal phase with its cache or caches: the token that was taken goes to both branches.

    The null branch may begin at any step, and is then filled by one pass; it is let go of when guidance ends.
    """

    def __init__(
        self,
        model: ArNar,
        pair: Pair,
        grow: Grow,
        capacity: int,
        recipe: Recipe,
    ) -> None:
        self._model, self._pair, self._grow = model, pair, grow
        self._capacity = capacity
        self._together = recipe.guidance == ONE_BATCH
        self._cache: Cache | None = None
        self._aside: Cache | None = None
        """The null branch, where the two are passes of their own."""
        self._padding = 0
        """Positions in front of the conditional row, where the null row beside it is longer."""
        self._since = 0
        """The decision from whose pass on there are the branches that there are now."""

    @property
    def memory(self) -> int:
        """Bytes of the caches."""
        return sum(cache.memory for cache in (self._cache, self._aside) if cache is not None)

    def after(self, step: int) -> StepByStep | None:
        """Independent branches as they were after the pass of a decision.

        None where that pass was not made, or was made with other branches than there are now.
        """
        if self._cache is None or not self._since <= step <= self._cache.step:
            return None
        other = copy(self)
        try:
            if self._aside is not None:
                other._aside = self._aside.fork(self._aside.step - (self._cache.step - step))
            other._cache = self._cache.fork(step)
        except ValueError:
            return None
        return other

    def next(
        self, made: Tensor, guided: bool, attended: bool = False, observer: Observer | None = None
    ) -> Passes:
        """Answer what follows `made`, all tokens so far [step], one of them more at every call.

        `attended` asks for the attention that the conditional answer was made with; an `observer` sees the
        same pass.
        """
        last = LastQuery() if attended else None
        watch = Both(last, observer) if last is not None and observer is not None else last or observer
        if not guided:
            self._let_go()
        if self._cache is None:
            self._cache, conditional, null = self._begin(guided, watch)
        else:
            conditional, null = self._go_on(self._cache, made[-1:], watch)
        attention = None if last is None else last.measures()
        if guided and null is None:
            null = self._join(self._cache, made)
        return Passes(conditional, null, attention)

    def _begin(self, guided: bool, watch: Observer | None) -> tuple[Cache, Tensor, Tensor | None]:
        pair, model, capacity = self._pair, self._model, self._capacity
        if guided and self._together:
            rows = [pair.conditional, pair.null]
            own, other = (layout.length for layout in model.layouts(rows, growing=True))
            self._padding = max(0, other - own)
            cache, both = model.begin(rows, capacity, self._shown(watch))
            return cache, both[:1], both[1:]
        cache, conditional = model.begin([pair.conditional], capacity, watch)
        if not guided:
            return cache, conditional, None
        self._aside, null = model.begin([pair.null], capacity)
        return cache, conditional, null

    def _go_on(self, cache: Cache, latest: Tensor, watch: Observer | None) -> tuple[Tensor, Tensor | None]:
        logits = self._model.advance(cache, latest.expand(len(cache)), self._shown(watch))
        if len(cache) == 2:
            return logits[:1], logits[1:]
        return logits, None if self._aside is None else self._model.advance(self._aside, latest)

    def _join(self, cache: Cache, made: Tensor) -> Tensor:
        """Fill the null branch by one pass, for this step and those to come."""
        filled = self._grow(self._pair.null, made)
        aside, null = self._model.begin([filled], self._capacity - len(made))
        self._since = len(made)
        if self._together:
            self._padding += max(0, aside.state.length - cache.state.length)
            self._cache = cache.beside(aside)
        else:
            self._aside = aside
        return null

    def _shown(self, watch: Observer | None) -> Observer | None:
        """The observer as it is to see the pass: the conditional row alone."""
        return watch if watch is None or not self._padding else WithoutPadding(watch, self._padding)

    def _let_go(self) -> None:
        if self._cache is None or (self._aside is None and len(self._cache) == 1):
            return
        self._aside, self._since = None, self._cache.step + 1
        if len(self._cache) == 2:
            self._cache = self._cache.rows([0])


class PassByPass:
    """A phase whose rows see each other both ways, so that every id needs a pass over all of them."""

    def __init__(self, model: ArNar, pair: Pair, grow: Grow, recipe: Recipe) -> None:
        self._model, self._pair, self._grow, self._recipe = model, pair, grow, recipe

    def next(
        self, made: Tensor, guided: bool, attended: bool = False, observer: Observer | None = None
    ) -> Passes:
        """Answer what follows `made`, all tokens so far [step]; as `StepByStep.next`."""
        last = LastQuery() if attended else None
        grown = Pair(self._grow(self._pair.conditional, made), self._grow(self._pair.null, made))
        watch = Both(last, observer) if last is not None and observer is not None else last or observer
        (conditional,) = self._model.full([grown.conditional], watch)
        null = self._model.full([grown.null])[0][-1:] if guided else None
        return Passes(conditional[-1:], null, None if last is None else last.measures())


def step_by_step(
    model: ArNar, pair: Pair, grow: Grow, capacity: int, recipe: Recipe
) -> StepByStep | PassByPass:
    """What answers id after id: with a cache where rows see only what is before them."""
    if model.layouts([pair.conditional], growing=True)[0].causal:
        return StepByStep(model, pair, grow, capacity, recipe)
    return PassByPass(model, pair, grow, recipe)


def with_frames(row: Inputs, made: Tensor) -> Inputs:
    """The row with level 0 so far, [frames], behind what its response held before."""
    frames = made[:, None]
    if row.response is not None:
        frames = torch.cat([row.response[:, :1].to(made.device), frames])
    return replace(row, response=frames)
