"""The passes that one decision is made from: the conditional one, and the null pass while guidance wants it.

In one batch of two rows or in two passes of one, as the recipe says: the same but for the last digits.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from torch import Tensor

from valle.models.ar_nar import ArNar
from valle.models.arch.cache import Cache
from valle.models.base import Inputs
from valle.request import Recipe

ONE_BATCH = "one batch"


@dataclass(frozen=True, eq=False)
class Pair:
    """One row in both forms: with its text and voice, and as the null pass gets it."""

    conditional: Inputs
    null: Inputs

    def given(self, response: Tensor, level: int = 0) -> Pair:
        """Both with these codes [frames, levels] made, and asked for this level."""
        return Pair(
            replace(self.conditional, response=response, level=level),
            replace(self.null, response=response, level=level),
        )


@dataclass(frozen=True, eq=False)
class Passes:
    """Raw logits [R, V] of both passes; without guidance there is no null pass."""

    conditional: Tensor
    null: Tensor | None = None


def in_one_pass(model: ArNar, pair: Pair, recipe: Recipe, guided: bool) -> Passes:
    """Answer all positions of a row at once, [T, V]."""
    if not guided:
        return Passes(*model.full([pair.conditional]))
    if recipe.guidance == ONE_BATCH:
        return Passes(*model.full([pair.conditional, pair.null]))
    return Passes(*model.full([pair.conditional]), *model.full([pair.null]))


class StepByStep:
    """A causal phase with its cache or caches: the token that was taken goes to both branches.

    The null branch may begin at any step, and is then filled by one pass; it is let go of when guidance ends.
    """

    def __init__(
        self,
        model: ArNar,
        pair: Pair,
        grow: Callable[[Inputs, Tensor], Inputs],
        capacity: int,
        recipe: Recipe,
    ) -> None:
        """`grow` puts the tokens made so far, [step], into a row."""
        self._model, self._pair, self._grow = model, pair, grow
        self._capacity = capacity
        self._together = recipe.guidance == ONE_BATCH
        self._cache: Cache | None = None
        self._aside: Cache | None = None
        """The null branch, where the two are passes of their own."""

    def next(self, made: Tensor, guided: bool) -> Passes:
        """Answer what follows `made`, all tokens so far [step], one of them more at every call."""
        if self._cache is None:
            return self._begin(guided)
        latest = made[-1:]
        if not guided:
            self._let_go()
            return Passes(self._model.advance(self._cache, latest))
        if self._aside is not None:
            conditional = self._model.advance(self._cache, latest)
            return Passes(conditional, self._model.advance(self._aside, latest))
        if len(self._cache) == 2:
            both = self._model.advance(self._cache, latest.expand(2))
            return Passes(both[:1], both[1:])
        return self._join(made)

    def _begin(self, guided: bool) -> Passes:
        rows, model, capacity = self._pair, self._model, self._capacity
        if guided and self._together:
            self._cache, both = model.begin([rows.conditional, rows.null], capacity)
            return Passes(both[:1], both[1:])
        self._cache, conditional = model.begin([rows.conditional], capacity)
        if not guided:
            return Passes(conditional)
        self._aside, null = model.begin([rows.null], capacity)
        return Passes(conditional, null)

    def _join(self, made: Tensor) -> Passes:
        """Go on with the conditional branch alone for this step, and fill the null branch by one pass."""
        assert self._cache is not None
        conditional = self._model.advance(self._cache, made[-1:])
        filled = self._grow(self._pair.null, made)
        aside, null = self._model.begin([filled], self._capacity - len(made))
        if self._together:
            self._cache = self._cache.beside(aside)
        else:
            self._aside = aside
        return Passes(conditional, null)

    def _let_go(self) -> None:
        self._aside = None
        if self._cache is not None and len(self._cache) == 2:
            self._cache = self._cache.rows([0])


def with_frames(row: Inputs, made: Tensor) -> Inputs:
    """The row with level 0 so far, [frames]."""
    return replace(row, response=made[:, None])
