"""A stock Hugging Face causal model, driven by one sequence of ids of the one vocabulary.

What the reference calls `experimental.hf`. `valle.checkpoints.opening` reads such a folder into a model of
this project, which gives the same numbers and can do more; this is for programs that hold the stock model.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from valle.checkpoints.vocabulary import pieces
from valle.errors import UserError
from valle.models.config import ModelConfig
from valle.models.layout import Inputs, Layout, arrange

_TABLES = {
    "phonemes": "text_emb.weight",
    "level": "rvq_l_emb.weight",
    "language": "langs_emb.weight",
    "task": "tasks_emb.weight",
    "digits": "len_emb.weight",
    "tone": "tones_emb.weight",
    "separator": "sep",
}


@dataclass
class Begun:
    """A sequence that goes on: the stock model's own cache, the head, and where the next id stands."""

    cache: Any
    head: str
    position: int
    length: int


class Uniform:
    """Any causal model of transformers whose vocabulary is the one of `config`.

    Raises UserError for rows that are no sequence of ids (sums of codes, text) or that see what is after
    them.
    """

    def __init__(self, model: Any, config: ModelConfig) -> None:
        self.model, self.config = model, config

    @torch.inference_mode()
    def full(self, rows: Sequence[Inputs]) -> list[Tensor]:
        """Return the float32 logits of each row, of its head's ids alone, as `Base.full` does."""
        answers = []
        for row in rows:
            layout, ids = self._sequence(row)
            logits = self._run(ids, layout.positions).logits[0]
            answers.append(self._of_head(logits[layout.outputs], layout.head))
        return answers

    @torch.inference_mode()
    def begin(self, row: Inputs) -> tuple[Begun, Tensor]:
        """Read a row; return where it stands, and the logits [1, V] of what follows."""
        layout, ids = self._sequence(row)
        output = self._run(ids, layout.positions)
        begun = Begun(output.past_key_values, layout.head, layout.next_position, layout.length)
        return begun, self._of_head(output.logits[0, -1:], layout.head)

    @torch.inference_mode()
    def advance(self, begun: Begun, token: int) -> Tensor:
        """Append an id of the head; return the logits [1, V] of what follows."""
        first = self.config.head_range(begun.head).start
        output = self._run(torch.tensor([first + token]), torch.tensor([begun.position]), begun)
        begun.cache, begun.position = output.past_key_values, begun.position + 1
        begun.length += 1
        return self._of_head(output.logits[0, -1:], begun.head)

    def _run(self, ids: Tensor, positions: Tensor, begun: Begun | None = None) -> Any:
        # Without a mask transformers takes positions that restart for the beginning of another text.
        length = len(ids) + (0 if begun is None else begun.length)
        return self.model(
            input_ids=ids[None],
            position_ids=positions[None],
            attention_mask=torch.ones(1, length, dtype=torch.long),
            past_key_values=None if begun is None else begun.cache,
            use_cache=True,
        )

    def _sequence(self, row: Inputs) -> tuple[Layout, Tensor]:
        layout = arrange(row, self.config, growing=True)
        if not layout.causal:
            raise UserError(f"A stock causal model does not see ahead, as {layout.head} does in this model.")
        return layout, uniform_ids(layout, self.config)

    def _of_head(self, logits: Tensor, head: str) -> Tensor:
        return logits[..., self.config.head_range(head)].float()


def uniform_ids(layout: Layout, config: ModelConfig) -> Tensor:
    """A sequence as ids [S] of the one vocabulary; UserError where one place stands for several ids."""
    starts = {piece.embedding: piece.begin for piece in pieces(config)}
    ids = torch.full((layout.length,), -1)
    for lookup in layout.lookups:
        places = lookup.start + lookup.stride * torch.arange(len(lookup.ids))
        kind, _, level = lookup.table.partition(".")
        table = _TABLES.get(kind, f"{'proms' if kind == 'prompt' else 'resps'}_emb.embeddings.{level}.weight")
        if table not in starts or (ids[places] >= 0).any():
            raise UserError(f"A sum of codes, or text, is no sequence of ids: {lookup.table}.")
        ids[places] = starts[table] + lookup.ids.long()
    return ids
