"""The loss of one batch: of the answers, and if wanted of the text and the prompt in front of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from valle.models.ar_nar import ArNar
from valle.models.base import Inputs, Losses
from valle.models.layout import Layout
from valle.training.aims import Aim
from valle.training.corpus import Batch
from valle.training.layer_skip import Early, skipping
from valle.training.model_recipe import ModelRecipe
from valle.training.precision import mixed

Pieces = tuple[list[Tensor], list[Tensor]]
"""Cross entropies of the ids of the text, and of the prompt, of each row."""


class Guide:
    """Pushes one attention head of some layers to look at what a row is about to say or to write.

    Tachibana et al., "Efficiently trainable text-to-speech system based on deep convolutional networks with
    guided attention" (2018) had the idea; here the target is exact, from the renderer's timings.
    """

    def __init__(
        self, layers: Mapping[str, Sequence[int]], layouts: Sequence[Layout], aims: Sequence[Aim | None]
    ) -> None:
        """`layers` are those whose first head is pushed to look at a segment, by its name."""
        self._layers, self._layouts, self._aims = layers, layouts, aims
        self._losses: dict[int, Tensor] = {}

    @property
    def loss(self) -> Tensor:
        """The sum over the layers seen of the mean that all guided rows miss, in nats."""
        return torch.stack(list(self._losses.values())).sum() if self._losses else torch.zeros(())

    def attention(self, layer: int, query: Tensor, key: Tensor) -> None:
        """Take the queries and keys of a layer; one that is run again for its gradients counts once."""
        found = [
            missed(query[row, 0, layout.outputs], key[row, 0, layout.spans[aim.segment]], aim)
            for row, (layout, aim) in enumerate(zip(self._layouts, self._aims, strict=True))
            if aim is not None and layer in self._layers[aim.segment]
        ]
        if found:
            self._losses[layer] = torch.cat(found).mean()


def missed(query: Tensor, key: Tensor, aim: Aim) -> Tensor:
    """Return how little each of the queries [N, d] sees of the keys [K, d] that it is to see, [N] in nats:
    the logarithm of its weight on them, taken negative."""
    wanted = len(aim.starts)
    scores = query[:wanted].float() @ key.float().t() * key.shape[-1] ** -0.5
    places = torch.arange(len(key), device=key.device)
    starts, stops = aim.starts.to(key.device), aim.stops.to(key.device)
    within = (places >= starts[:, None]) & (places < stops[:, None])
    found: Tensor = scores.logsumexp(-1) - scores.masked_fill(~within, -torch.inf).logsumexp(-1)
    return found


@dataclass(frozen=True, eq=False)
class Parts:
    """Mean losses of a batch in nats, each a tensor: what is minimised, and what it is made of.

    total: all that is minimised. answer: of the ids that are asked for; accuracy is the share of them that is
    right. guide, router, text, prompt, early (of an early layer): 0 where there is none.
    """

    total: Tensor
    answer: Tensor
    accuracy: Tensor
    guide: Tensor
    router: Tensor
    text: Tensor
    prompt: Tensor
    early: Tensor


class BatchLoss(nn.Module):
    """A model with its loss, so that one call is all that a step computes."""

    def __init__(self, model: ArNar, recipe: ModelRecipe) -> None:
        super().__init__()
        self.model, self.recipe = model, recipe

    def forward(self, batch: Batch) -> Parts:
        """Return the losses of a batch."""
        model, recipe = self.model, self.recipe
        layouts = model.layouts(batch.rows, growing=True)
        guided = {"phonemes": recipe.guide_layers, "response": recipe.hearing_layers}
        guide = Guide(guided, layouts, batch.aims)
        with mixed(model.device.type, recipe.precision):
            packed = model.pack(layouts)
            embedded = self._with_holes(packed.embeddings, layouts, batch.holes)
            with self._skipping(layouts) as left:
                hidden = model.model(embedded, packed.positions, packed.limit, packed.mask, observer=guide)
            answer = model.judge(batch.rows, layouts, hidden, batch.targets)
            early = answer.mean.new_zeros(())
            if left is not None:
                normed = cast(nn.Module, model.model.norm)(left.hidden[0])
                early = model.judge(batch.rows, layouts, normed, batch.targets).mean
            pieces = ([], []) if recipe.loss == "answer" else self._pieces(batch.rows, layouts, hidden)
        router = model.model.auxiliary_loss()
        nothing = answer.mean.new_zeros(())
        text, prompt = (torch.cat(piece).mean() if piece else nothing for piece in pieces)
        total = self._sequence(answer, pieces, text, prompt)
        if left is not None:
            total = (1 - left.weight) * total + left.weight * early
        total = total + recipe.guide_weight * guide.loss
        if router is not None:
            total = total + recipe.router_weight * router
        right = (answer.correct & answer.counted).sum() / answer.counted.sum()
        return Parts(
            total,
            answer.mean,
            right,
            guide.loss,
            nothing if router is None else router,
            text,
            prompt,
            early,
        )

    def _skipping(self, layouts: Sequence[Layout]) -> AbstractContextManager[Early | None]:
        """One pass that leaves layers out and notes an early one, where the recipe asks for it."""
        recipe = self.recipe
        if not recipe.layer_dropout and not recipe.early_exit:
            return nullcontext()
        layers = cast(nn.ModuleList, self.model.model.layers)
        return skipping(layers, layouts, recipe.layer_dropout, recipe.early_exit)

    def _with_holes(
        self, embedded: Tensor, layouts: Sequence[Layout], holes: Sequence[dict[str, Tensor]]
    ) -> Tensor:
        """The embeddings [R, S, D] with the dropout token where a frame is left out."""
        if not any(holes):
            return embedded
        out = torch.zeros(embedded.shape[:2], dtype=torch.bool)
        for row, (layout, spans) in enumerate(zip(layouts, holes, strict=True)):
            for name, frames in spans.items():
                out[row, layout.spans[name]] = frames
        return torch.where(out.unsqueeze(-1).to(embedded.device), self.model.dropout_token, embedded)

    def _pieces(self, rows: Sequence[Inputs], layouts: Sequence[Layout], hidden: Tensor) -> Pieces:
        """Cross entropies of every id of text and prompt from those before it, of the rows of level 0."""
        text: list[Tensor] = []
        prompt: list[Tensor] = []
        for row, (given, layout) in enumerate(zip(rows, layouts, strict=True)):
            if layout.head != "ar":
                continue
            if given.phonemes is not None:
                text.append(self._next(hidden[row, layout.spans["phonemes"]], "phonemes", given.phonemes))
            if isinstance(given.prompt, Tensor):
                prompt.append(self._next(hidden[row, layout.spans["prompt"]], "ar", given.prompt[:, 0]))
        return text, prompt

    def _next(self, hidden: Tensor, head: str, ids: Tensor) -> Tensor:
        logits = self.model.answer(head, hidden[:-1])
        return functional.cross_entropy(logits, ids[1:].long().to(hidden.device), reduction="none")

    def _sequence(self, answer: Losses, pieces: Pieces, text: Tensor, prompt: Tensor) -> Tensor:
        """The loss of the sequence: as a whole, every id of it alike, or in pieces by their factors."""
        recipe = self.recipe
        if recipe.loss == "whole" and any(pieces):
            own = answer.cross_entropy[answer.counted]
            return torch.cat([own, *(each for piece in pieces for each in piece)]).mean()
        return answer.mean + recipe.text_factor * text + recipe.prompt_factor * prompt
