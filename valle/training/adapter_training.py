"""The training of an adapter on a few recordings, everything of the model frozen."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from valle.errors import UserError
from valle.models.adapters import Adapter, AdapterShape, Attached, Form, fresh, save
from valle.models.ar_nar import ArNar
from valle.training.corpus import Batch, Corpus, Kind, Mix
from valle.training.recordings import Recording, encode_recordings, find_recordings
from valle.training.runs import Run, Schedule, train

HELD_OUT = 0.1
FEWEST = 4
"""Recordings below which nothing can be held out and no prompt found."""
KINDS = {("ar",): (1.0, 0, 0, 0, 0), ("nar",): (0, 1.0, 0, 0, 0), ("ar", "nar"): (0.6, 0.4, 0, 0, 0)}
MEASURED = 8
"""Batches that a held-out loss is the mean of, the same ones each time."""


@dataclass(frozen=True)
class AdapterRecipe:
    """How an adapter is trained: batches of about `budget` sequence rows, some rows without a prompt."""

    shape: AdapterShape = field(default_factory=AdapterShape)
    form: Form = "parametrize"
    rate: float = 2e-3
    budget: int = 1500
    clip: float = 1.0
    without_voice: float = 0.5
    seed: int = 0

    @property
    def mix(self) -> Mix:
        """The share of each kind of batch."""
        kinds = KINDS[tuple(sorted(set(self.shape.phases)))]
        return Mix(kinds=kinds, without_voice=self.without_voice, without_both=0.05, hidden=0.25)


class AdapterTrainer:
    """A frozen model with one adapter in it, and an optimiser that holds the adapter's weights alone."""

    def __init__(
        self, model: ArNar, recipe: AdapterRecipe, corpus: Corpus, name: str, model_hash: str
    ) -> None:
        """Raises UserError for a model that has none of the layers."""
        torch.manual_seed(recipe.seed)
        self.model, self.recipe, self.corpus, self.name = model, recipe, corpus, name
        self._hash = model_hash
        model.requires_grad_(False).train()
        self.attached = Attached(model, recipe.form, model_hash)
        self.attached.add(fresh(model, name, recipe.shape, recipe.seed))
        self.weights = [weight.requires_grad_() for weight in self.attached.weights(name)]
        self.optimizer = torch.optim.AdamW(self.weights, recipe.rate, betas=(0.9, 0.98), weight_decay=0.0)
        self.step = 0

    @property
    def adapter(self) -> Adapter:
        """The adapter as it is now."""
        layers = self.attached.layers(self.name)
        return Adapter(self.name, self.recipe.shape, layers, model=self._hash, steps=self.step)

    def train_step(self, factor: float) -> tuple[Kind, float]:
        """Take one step at a factor of the rate; the kind of its batch, and its mean loss in nats."""
        random = np.random.default_rng((self.recipe.seed, self.step))
        mix = self.recipe.mix
        batch = self.corpus.batch(mix.kind(random), mix, self.recipe.budget, random)
        for group in self.optimizer.param_groups:
            group["lr"] = self.recipe.rate * factor
        loss = self._loss(batch)
        loss.backward()
        nn.utils.clip_grad_norm_(self.weights, self.recipe.clip)
        self.optimizer.step()
        self.optimizer.zero_grad()
        self.step += 1
        return batch.kind, loss.item()

    @torch.no_grad()
    def held_out(self, corpus: Corpus, strength: float) -> dict[str, float]:
        """Mean losses in nats on recordings that were not trained on, by kind, without and with a prompt."""
        self.model.eval()
        found = {}
        for kind, group in ((Kind.AR, "ar"), (Kind.NAR, "nar")):
            self.attached.act({self.name: strength}, group, 1 if kind is Kind.NAR else 0)
            for voiced in (False, True):
                mix = replace(self.recipe.mix, without_voice=float(not voiced), without_both=0.0, hidden=0.0)
                losses = [
                    float(
                        self._loss(corpus.batch(kind, mix, self.recipe.budget, np.random.default_rng(seed)))
                    )
                    for seed in range(MEASURED)
                ]
                found[f"{kind.value}{'_prompted' if voiced else ''}"] = round(float(np.mean(losses)), 4)
        self.attached.act({self.name: 1.0}, self.recipe.shape.phases[0], 0)
        self.model.train()
        return found

    def summary(self, results: list[Any]) -> dict[str, float]:
        """Mean losses by kind of batch."""
        kinds = sorted({kind for kind, _ in results})
        return {
            kind.value: round(float(np.mean([loss for each, loss in results if each is kind])), 3)
            for kind in kinds
        }

    def state(self) -> dict[str, Any]:
        """All that a resumed run needs: the adapter's weights, and the optimiser's."""
        weights = [weight.detach().clone() for weight in self.weights]
        return {"weights": weights, "optimizer": self.optimizer.state_dict()}

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from a saved state. Raises UserError for that of an adapter of another shape."""
        saved: Sequence[Tensor] = state["weights"]
        if [weight.shape for weight in saved] != [weight.shape for weight in self.weights]:
            raise UserError("The saved run is of an adapter of another shape; give this one another --name.")
        with torch.no_grad():
            for weight, value in zip(self.weights, saved, strict=True):
                weight.copy_(value)
        self.optimizer.load_state_dict(state["optimizer"])
        self.step = state["step"]

    def _loss(self, batch: Batch) -> Tensor:
        group = "nar" if batch.kind is Kind.NAR else "ar"
        if torch.is_grad_enabled():
            self.attached.act({self.name: 1.0}, group, 0 if group == "ar" else 1)
        return self.model.loss(batch.rows, batch.targets).mean


def add_options(parser: argparse.ArgumentParser) -> None:
    """The options of the command `adapter`."""
    usual = AdapterRecipe()
    parser.add_argument("recordings", type=Path, help="sound files of one voice, each with a .txt beside it")
    parser.add_argument("--name", default="adapter", help="what the adapter and its run are called")
    parser.add_argument("--model", default="builtin", help="the model that it is for")
    parser.add_argument("--language", default="en")
    parser.add_argument("--out", type=Path, default=None, help="its file (NAME.safetensors)")
    parser.add_argument("--steps", type=int, default=300)
    parser.add_argument("--rank", type=int, default=usual.shape.rank)
    parser.add_argument("--alpha", type=float, default=usual.shape.alpha)
    parser.add_argument("--dropout", type=float, default=0.05)
    parser.add_argument("--modules", default=",".join(usual.shape.modules), help="with commas between")
    parser.add_argument("--phases", default="ar,nar", help="ar, nar, or both with a comma between")
    parser.add_argument("--form", choices=("parametrize", "linear"), default=usual.form)
    parser.add_argument("--rate", type=float, default=usual.rate)
    parser.add_argument("--budget", type=int, default=usual.budget, help="sequence rows of a batch")
    parser.add_argument(
        "--without-voice", type=float, default=usual.without_voice, help="share of rows that have no prompt"
    )


def adapter(arguments: argparse.Namespace, folder: Path) -> None:
    """Train an adapter on recordings, and write it with what it came to on those held out."""
    recipe = _recipe(arguments)
    out = arguments.out or Path(f"{arguments.name}.safetensors")
    if not out.parent.is_dir():
        raise UserError(f"{out}: there is no folder {out.parent}")
    recordings = find_recordings(arguments.recordings)
    if len(recordings) < FEWEST:
        raise UserError(
            f"{arguments.recordings}: holds {len(recordings)} recordings; {FEWEST} are the fewest"
        )
    torch.set_num_threads(arguments.threads)

    from valle.inference import Engine

    engine = Engine.load(arguments.model, threads=arguments.threads, device="cpu")
    corpus, kept = _corpora(recordings, engine, arguments.language)
    trainer = AdapterTrainer(engine.model, recipe, corpus, arguments.name, engine.model_hash)
    run = Run(folder / f"adapter-{arguments.name}")
    run.stop_on_signals()
    if (state := run.load()) is not None:
        trainer.restore(state)
    before = trainer.held_out(kept, 0.0)
    train(trainer, run, Schedule.over(arguments.steps, 0.3, warmup=20), report_every=25)
    after = trainer.held_out(kept, 1.0)
    stored = save(out, trainer.adapter)
    engine.close()
    run.log(step=trainer.step, plain=before, adapted=after, file=out.name, sha256=stored.hash)
    print(f"{out}: {out.stat().st_size / 1e3:.0f} kB, {trainer.step} steps; held-out loss in nats:")
    for kind, value in before.items():
        print(f"  {kind:13} {value:.3f} -> {after[kind]:.3f}")


def _recipe(arguments: argparse.Namespace) -> AdapterRecipe:
    if arguments.steps < 1 or arguments.rate <= 0 or arguments.budget < 1:
        raise UserError("--steps, --rate and --budget must be above 0")
    if not 0 <= arguments.without_voice <= 0.95:
        raise UserError(f"--without-voice {arguments.without_voice} must be from 0 to 0.95")
    shape = AdapterShape(
        rank=arguments.rank,
        alpha=arguments.alpha,
        dropout=arguments.dropout,
        modules=tuple(filter(None, arguments.modules.split(","))),
        phases=tuple(filter(None, arguments.phases.split(","))),
    )
    return AdapterRecipe(
        shape, arguments.form, arguments.rate, arguments.budget, 1.0, arguments.without_voice, arguments.seed
    )


def _corpora(recordings: list[Recording], engine: Any, language: str) -> tuple[Corpus, Corpus]:
    """What is trained on, and what is held out: every so many recordings, at least two."""
    held = max(2, round(HELD_OUT * len(recordings)))
    apart = {round(index * len(recordings) / held) for index in range(held)}
    parts = (
        [recording for at, recording in enumerate(recordings) if at not in apart],
        [recording for at, recording in enumerate(recordings) if at in apart],
    )
    corpora = []
    for part in parts:
        shard, left_out = encode_recordings(part, engine.codec, language)
        for line in left_out:
            print(f"left out: {line}")
        corpora.append(Corpus())
        corpora[-1].add(shard)
    return corpora[0], corpora[1]
