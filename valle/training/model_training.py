"""The training of the built-in model."""

from __future__ import annotations

import gc
import time
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from valle.errors import UserError
from valle.models.ar_nar import ArNar
from valle.models.config import ModelConfig
from valle.models.layout import Layout
from valle.training.corpus import Batch, Corpus, Kind, Mix
from valle.training.runs import Run, Schedule
from valle.training.speech import SpeechShard, speech_path

PHONEME_TOKENS = 256


def builtin_config(dim: int = 192, layers: int = 6, heads: int = 4) -> ModelConfig:
    """The configuration of the built-in model: that of the published models, small."""
    return ModelConfig(
        dim=dim,
        layers=layers,
        heads=heads,
        ffn=4 * dim,
        languages=1,
        capabilities=("ar", "nar", "len"),
        classifiers_bias=False,
        phoneme_tokens=PHONEME_TOKENS,
    )


@dataclass(frozen=True)
class ModelRecipe:
    """How the model is trained: `batches` of about `budget` sequence rows each are one step."""

    dim: int = 192
    layers: int = 6
    heads: int = 4
    budget: int = 2000
    batches: int = 2
    hidden_rate: float = 0.02
    other_rate: float = 2e-3
    guide_layer: int = 2
    guide_weight: float = 1.0
    clip: float = 1.0
    average: float = 0.99
    least_hidden: float = 0.25
    seed: int = 0
    mix: Mix = field(default_factory=Mix)


class Guide:
    """Pushes one attention head to look at the phoneme of the frame that a row predicts.

    Tachibana et al., "Efficiently trainable text-to-speech system based on deep convolutional networks with
    guided attention" (2018) had the idea; here the target is exact, from the renderer's timings.
    """

    def __init__(self, layer: int, layouts: list[Layout], alignments: list[Tensor | None]) -> None:
        self._layer, self._layouts, self._alignments = layer, layouts, alignments
        self.loss = torch.zeros(())

    def attention(self, layer: int, query: Tensor, key: Tensor) -> None:
        """Take the queries and keys of a layer; sets `loss`, the mean cross entropy over all guided rows."""
        if layer != self._layer:
            return
        rows = [row for row, alignment in enumerate(self._alignments) if alignment is not None]
        if not rows:
            return
        longest = max(self._layouts[row].spans["phonemes"].stop for row in rows)
        scores, wanted = [], []
        for row in rows:
            layout, alignment = self._layouts[row], self._alignments[row]
            assert alignment is not None
            keys = key[row, 0, layout.spans["phonemes"]].float()
            found = query[row, 0, layout.outputs].float() @ keys.t() * keys.shape[-1] ** -0.5
            scores.append(functional.pad(found, (0, longest - found.shape[1]), value=-1e9))
            wanted.append(alignment)
        self.loss = functional.cross_entropy(torch.cat(scores), torch.cat(wanted).to(query.device))


@dataclass(frozen=True)
class StepResult:
    """What a batch of a step reports: mean loss in nats, share of right ids, guide loss, its rows."""

    kind: Kind
    loss: float
    accuracy: float
    guide: float
    size: int


class ModelTrainer:
    """The model, its optimisers and its step."""

    def __init__(self, recipe: ModelRecipe, corpus: Corpus) -> None:
        torch.manual_seed(recipe.seed)
        self.recipe, self.corpus = recipe, corpus
        self.model = ArNar(builtin_config(recipe.dim, recipe.layers, recipe.heads))
        hidden = [
            p for n, p in self.model.named_parameters() if n.startswith("model.layers.") and p.ndim == 2
        ]
        known = {id(parameter) for parameter in hidden}
        others = [parameter for parameter in self.model.parameters() if id(parameter) not in known]
        self.optimizers: list[torch.optim.Optimizer] = [
            torch.optim.Muon(hidden, recipe.hidden_rate, weight_decay=0.01, momentum=0.95),
            torch.optim.AdamW(others, recipe.other_rate, betas=(0.9, 0.98), weight_decay=0.0, fused=True),
        ]
        self.average = {name: tensor.clone() for name, tensor in self.model.state_dict().items()}
        self.step = 0

    def averaged(self) -> ArNar:
        """The model with the moving average of its weights, which speaks better than the last step's."""
        model = ArNar(self.model.config)
        model.load_state_dict(self.average)
        return model

    def state(self) -> dict[str, Any]:
        """All that a resumed run needs."""
        return {
            "model": self.model.state_dict(),
            "average": self.average,
            "optimizers": [optimizer.state_dict() for optimizer in self.optimizers],
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from a saved state."""
        self.model.load_state_dict(state["model"])
        self.average = {name: tensor.clone() for name, tensor in state["average"].items()}
        for optimizer, saved in zip(self.optimizers, state["optimizers"], strict=True):
            optimizer.load_state_dict(saved)
        self.step = state["step"]

    def adopt(self, model: ArNar, step: int) -> None:
        """Begin with the weights of a trained model, at its count of steps, with fresh optimisers."""
        if model.config != self.model.config:
            raise UserError("The model to begin with has another configuration than the recipe's.")
        self.model.load_state_dict(model.state_dict())
        self.average = {name: tensor.clone() for name, tensor in self.model.state_dict().items()}
        self.step = step

    def losses(self, batch: Batch) -> tuple[Tensor, Tensor, Tensor]:
        """Mean cross entropy, guide loss and share of right ids of a batch."""
        guide = Guide(self.recipe.guide_layer, self.model.layouts(batch.rows, growing=True), batch.alignments)
        with torch.autocast("cpu", torch.bfloat16):
            losses = self.model.loss(batch.rows, batch.targets, guide)
        accuracy = (losses.correct & losses.counted).sum() / losses.counted.sum()
        return losses.mean, guide.loss, accuracy

    def train_step(self, factor: float) -> list[StepResult]:
        """One step at a factor of the base rates, over several small batches of any kind.

        The share of the past that is hidden falls with the rate: decoding will see all of it.
        """
        random = np.random.default_rng((self.recipe.seed, self.step))
        hidden = self.recipe.mix.hidden * max(factor, self.recipe.least_hidden)
        mix = replace(self.recipe.mix, hidden=hidden)
        results = [self._backward(mix, random) for _ in range(self.recipe.batches)]
        rates = (self.recipe.hidden_rate, self.recipe.other_rate)
        for optimizer, rate in zip(self.optimizers, rates, strict=True):
            for group in optimizer.param_groups:
                group["lr"] = rate * factor
        nn.utils.clip_grad_norm_(self.model.parameters(), self.recipe.clip)
        for optimizer in self.optimizers:
            optimizer.step()
            optimizer.zero_grad()
        # Early on the average is shorter, so that it forgets the weights of the beginning.
        keep = min(self.recipe.average, (self.step + 1) / (self.step + 10))
        for name, tensor in self.model.state_dict().items():
            self.average[name].lerp_(tensor, 1 - keep)
        self.step += 1
        return results

    def _backward(self, mix: Mix, random: np.random.Generator) -> StepResult:
        kind = mix.kind(random)
        batch = self.corpus.batch(kind, mix, self.recipe.budget, random)
        loss, guide, accuracy = self.losses(batch)
        ((loss + self.recipe.guide_weight * guide) / self.recipe.batches).backward()
        return StepResult(kind, loss.item(), accuracy.item(), guide.item(), len(batch.rows))


def train_model(
    trainer: ModelTrainer, run: Run, schedule: Schedule, shards: ShardSource, report_every: int = 25
) -> None:
    """Train until the schedule ends, saving now and then and at the end."""
    sums: dict[Kind, list[StepResult]] = {}
    while trainer.step < schedule.last_step and not run.stop_asked:
        if not shards.fill(trainer.corpus, trainer.step):
            time.sleep(1.0)
            continue
        for result in trainer.train_step(schedule.factor(trainer.step)):
            sums.setdefault(result.kind, []).append(result)
        if trainer.step % report_every == 0:
            run.log(
                step=trainer.step, of=schedule.last_step, utterances=len(trainer.corpus), **_summary(sums)
            )
            sums = {}
        if run.is_due():
            run.save(trainer.state(), schedule, trainer.step)
    run.save(trainer.state(), schedule, trainer.step)


def _summary(sums: dict[Kind, list[StepResult]]) -> dict[str, float]:
    found: dict[str, float] = {}
    for kind, results in sums.items():
        found[kind.value] = round(float(np.mean([each.loss for each in results])), 3)
        found[f"{kind.value}_right"] = round(float(np.mean([each.accuracy for each in results])), 3)
    guides = [each.guide for results in sums.values() for each in results if each.guide]
    return {**found, "guide": round(float(np.mean(guides)), 3)} if guides else found


class ShardSource:
    """Gives the corpus its shards: a few at first, then one more every so many steps."""

    def __init__(self, folder: Path, first: int, every: int, total: int) -> None:
        self._folder, self._first, self._every, self._total = folder, first, every, total
        self._given = 0

    def fill(self, corpus: Corpus, step: int) -> bool:
        """Add the shards that are due at a step; False while one of them is not made yet."""
        while self._given < min(self._total, self._first + step // self._every):
            path = speech_path(self._folder, self._given)
            if not path.exists():
                return False
            corpus.add(SpeechShard.load(path))
            gc.freeze()  # the corpus is a million small objects that every collection would walk through
            self._given += 1
        return True
