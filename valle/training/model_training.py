"""The training of a model of any backbone."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from valle.errors import UserError
from valle.models.ar_nar import ArNar
from valle.training.corpus import Batch, Corpus, Kind
from valle.training.losses import BatchLoss, Parts
from valle.training.model_recipe import ModelRecipe
from valle.training.muon import Muon
from valle.training.processes import Processes
from valle.training.runs import ALONE
from valle.training.speech import SpeechShard, speech_path


@dataclass(frozen=True)
class StepResult:
    """What a batch of a step reports: mean losses in nats, share of right ids, its rows."""

    kind: Kind
    loss: float
    accuracy: float
    guide: float
    size: int
    router: float = 0.0
    text: float = 0.0
    prompt: float = 0.0
    early: float = 0.0


EXTRAS = ("guide", "router", "text", "prompt", "early")


class ModelTrainer:
    """The model, its optimisers and its step."""

    def __init__(self, recipe: ModelRecipe, corpus: Corpus, processes: Processes = ALONE) -> None:
        torch.manual_seed(recipe.seed)
        self.recipe, self.corpus, self.processes = recipe, corpus, processes
        self.model = ArNar(recipe.config()).to(processes.device)
        self.model.model.checkpointing = recipe.checkpointing
        self.mix = recipe.suited_mix()
        self.share = processes.share(recipe.batches)
        self.module: nn.Module = BatchLoss(self.model, recipe)
        if processes.count > 1:
            self.module = DistributedDataParallel(self.module, find_unused_parameters=True)
        self.optimizers, self.rates = _optimizers(self.model, recipe)
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
            "recipe": asdict(self.recipe),
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from a saved state."""
        self.model.load_state_dict(state["model"])
        for name, tensor in state["average"].items():
            self.average[name].copy_(tensor)
        for optimizer, saved in zip(self.optimizers, state["optimizers"], strict=True):
            optimizer.load_state_dict(saved)
        self.step = state["step"]

    def adopt(self, model: ArNar, step: int) -> None:
        """Begin with the weights of a trained model, at its count of steps, with fresh optimisers."""
        if replace(model.config, attention="auto") != self.model.config:
            raise UserError("The model to begin with has another configuration than the recipe's.")
        self.model.load_state_dict(model.state_dict())
        self.average = {name: tensor.clone() for name, tensor in self.model.state_dict().items()}
        self.step = step

    def losses(self, batch: Batch) -> Parts:
        """The losses of a batch, to be minimised or looked at."""
        found: Parts = self.module(batch)
        return found

    def train_step(self, factor: float) -> list[StepResult]:
        """One step at a factor of the base rates, over several small batches of any kind.

        The share of the past that is hidden falls with the rate: decoding will see all of it. Every process
        draws all batches and computes its own, so that a step is the same however many there are.
        """
        batches = list(self._batches(factor))
        results = [self._backward(*batches[place]) for place in self.share]
        for optimizer, rate in zip(self.optimizers, self.rates, strict=True):
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

    def summary(self, results: list[list[StepResult]]) -> dict[str, float]:
        """The mean loss and share of right ids of each kind, and what else was minimised."""
        sums: dict[Kind, list[StepResult]] = {}
        for result in (each for step in results for each in step):
            sums.setdefault(result.kind, []).append(result)
        found: dict[str, float] = {"utterances": len(self.corpus)}
        for kind, of_kind in sums.items():
            found[kind.value] = _mean([each.loss for each in of_kind])
            found[f"{kind.value}_right"] = _mean([each.accuracy for each in of_kind])
        for name in EXTRAS:
            values = [getattr(each, name) for of_kind in sums.values() for each in of_kind]
            if any(values):
                found[name] = _mean([value for value in values if value])
        return found

    def _batches(self, factor: float) -> Iterator[tuple[Batch, bool]]:
        """The batches of this step, and whether each is the last of its process."""
        random = np.random.default_rng((self.recipe.seed, self.step))
        mix = replace(self.mix, hidden=self.mix.hidden * max(factor, self.recipe.least_hidden))
        for place in range(self.recipe.batches):
            batch = self.corpus.batch(mix.kind(random), mix, self.recipe.budget, random)
            yield batch, place >= self.share[-1]

    def _backward(self, batch: Batch, is_last: bool) -> StepResult:
        together = isinstance(self.module, DistributedDataParallel) and not is_last
        with cast(DistributedDataParallel, self.module).no_sync() if together else nullcontext():
            parts = self.losses(batch)
            (parts.total / len(self.share)).backward()
        extras = {name: getattr(parts, name).item() for name in EXTRAS}
        answer, accuracy = parts.answer.item(), parts.accuracy.item()
        return StepResult(batch.kind, answer, accuracy, size=len(batch.rows), **extras)


def _optimizers(model: ArNar, recipe: ModelRecipe) -> tuple[list[torch.optim.Optimizer], list[float]]:
    """The optimisers and their base rates: Muon (arXiv 2502.16982) for the matrices inside."""
    others = list(model.parameters())
    found: list[torch.optim.Optimizer] = []
    rates = []
    if recipe.optimizer == "muon":
        linear = [part.weight for part in model.model.modules() if isinstance(part, nn.Linear)]
        known = {id(weight) for weight in linear}
        hidden = [parameter for parameter in others if id(parameter) in known]
        others = [parameter for parameter in others if id(parameter) not in known]
        found.append(Muon(hidden, recipe.hidden_rate))
        rates.append(recipe.hidden_rate)
    adam = torch.optim.AdamW(others, recipe.other_rate, betas=(0.9, 0.98), weight_decay=0.0, fused=True)
    return [*found, adam], [*rates, recipe.other_rate]


def _mean(values: list[float]) -> float:
    return round(float(np.mean(values)), 3)


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
