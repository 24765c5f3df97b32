"""The passes of several hypotheses of one row, in a batch whose rows are picked and reordered as they go."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from valle.decoding.branches import ONE_BATCH, Pair, Passes
from valle.models.ar_nar import ArNar
from valle.models.arch.cache import Cache
from valle.request import Recipe


class Hypotheses:
    """A causal phase of a row, begun once and gone on with in several ways; guidance has its null pass of
    each, in the same batch or in one of its own, as the recipe says."""

    def __init__(self, model: ArNar, pair: Pair, capacity: int, recipe: Recipe, guided: bool) -> None:
        rows = [pair.conditional, pair.null] if guided else [pair.conditional]
        batches = [rows] if recipe.guidance == ONE_BATCH else [[row] for row in rows]
        self._model = model
        begun = [model.begin(batch, capacity) for batch in batches]
        self._caches: list[Cache] = [cache for cache, _ in begun]
        self._branches = [len(batch) for batch in batches]
        self._rows = 1
        self.passes = _split([logits for _, logits in begun], guided)

    def go_on(self, rows: Sequence[int], tokens: Tensor) -> Passes:
        """Append an id [H] to each of these hypotheses, which may come several times or not at all; answer
        what follows."""
        answers = []
        for cache, branches in zip(self._caches, self._branches, strict=True):
            if list(rows) != list(range(self._rows)):
                cache.select([branch * self._rows + row for branch in range(branches) for row in rows])
            answers.append(self._model.advance(cache, tokens.repeat(branches)))
        self._rows = len(rows)
        self.passes = _split(answers, sum(self._branches) == 2)
        return self.passes


def _split(answers: Sequence[Tensor], guided: bool) -> Passes:
    logits = torch.cat(list(answers))
    if not guided:
        return Passes(logits)
    conditional, null = logits.chunk(2)
    return Passes(conditional, null)
