"""The training of the recogniser, on rendered shards: no codec and no model of ours is ever heard by it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from valle.audio.builtin.pitch import HOP
from valle.training.measures import MEL_BANDS, log_mel
from valle.training.precision import mixed
from valle.training.recogniser import BLANK, Recogniser, sounds
from valle.training.speech import RenderedShard

QUIETEST_NOISE, LOUDEST_NOISE = 10.0, 45.0
"""In dB below the speech: the ears shall not be thrown by a hiss that espeak does not have."""
LARGEST_SHIFT = 1.5
IGNORED = -100


@dataclass(frozen=True)
class RecogniserRecipe:
    """How the recogniser is trained: batches of utterances of similar length, both losses summed."""

    batch: int = 8
    rate: float = 2e-3
    clip: float = 1.0
    seed: int = 0


@dataclass(frozen=True, eq=False)
class Heard:
    """One utterance: wave int16, the ids of its sounds, and per frame the sound or the blank."""

    wave: NDArray[np.int16]
    sounds: tuple[int, ...]
    frames: NDArray[np.int64]


def utterances(shards: Sequence[RenderedShard]) -> list[Heard]:
    """The utterances of rendered shards, ordered by length."""
    found = []
    for shard in shards:
        for index in range(len(shard.speakers)):
            frames = slice(int(shard.starts[index]), int(shard.starts[index + 1]))
            ids = shard.ids[shard.id_starts[index] : shard.id_starts[index + 1]]
            audible = np.array([int(symbol) if sounds([symbol]) else BLANK for symbol in ids])
            wave = shard.wave[frames.start * HOP : frames.stop * HOP]
            found.append(Heard(wave, tuple(sounds(ids)), audible[shard.alignment[frames]]))
    return sorted(found, key=lambda each: len(each.frames))


class RecogniserTrainer:
    """The recogniser, its optimiser and its step."""

    def __init__(self, data: list[Heard], recipe: RecogniserRecipe) -> None:
        torch.manual_seed(recipe.seed)
        self.data, self.recipe, self.step = data, recipe, 0
        self.model = Recogniser()
        self.optimizer = torch.optim.AdamW(
            self.model.parameters(), recipe.rate, weight_decay=0.01, fused=True
        )

    def state(self) -> dict[str, Any]:
        """All that a resumed run needs."""
        return {"model": self.model.state_dict(), "optimizer": self.optimizer.state_dict()}

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from a saved state."""
        self.model.load_state_dict(state["model"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.step = state["step"]

    def train_step(self, factor: float) -> float:
        """One step at a factor of the base rate; returns the loss."""
        random = np.random.default_rng((self.recipe.seed, self.step))
        start = int(random.integers(0, max(1, len(self.data) - self.recipe.batch)))
        batch = self.data[start : start + self.recipe.batch]
        for group in self.optimizer.param_groups:
            group["lr"] = self.recipe.rate * factor
        loss = self._loss(batch, random)
        self.optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(self.model.parameters(), self.recipe.clip)
        self.optimizer.step()
        self.step += 1
        return loss.item()

    def summary(self, results: list[float]) -> dict[str, float]:
        """The mean loss."""
        return {"loss": round(float(np.mean(results)), 4)}

    def _loss(self, batch: list[Heard], random: np.random.Generator) -> Tensor:
        lengths = torch.tensor([len(each.frames) for each in batch])
        features = torch.zeros(len(batch), int(lengths.max()), MEL_BANDS)
        frames = torch.full(features.shape[:2], IGNORED)
        for row, each in enumerate(batch):
            features[row, : lengths[row]] = torch.from_numpy(_varied(each.wave, random))
            frames[row, : lengths[row]] = torch.from_numpy(each.frames)
        with mixed("cpu"):
            scores = self.model(features).float()
        targets = torch.tensor([symbol for each in batch for symbol in each.sounds])
        counts = torch.tensor([len(each.sounds) for each in batch])
        paths = functional.ctc_loss(
            scores.log_softmax(-1).transpose(0, 1), targets, lengths, counts, blank=BLANK, zero_infinity=True
        )
        return paths + functional.cross_entropy(scores.flatten(0, 1), frames.flatten(), ignore_index=IGNORED)


def _varied(wave: NDArray[np.int16], random: np.random.Generator) -> NDArray[np.float32]:
    """Log-mel frames of a wave with some noise, its bands moved as if the throat were longer or shorter."""
    speech = (wave / 32768).astype(np.float32)
    level = float(speech.std()) * 10 ** (-random.uniform(QUIETEST_NOISE, LOUDEST_NOISE) / 20)
    features = log_mel(speech + random.normal(0, level, len(speech)).astype(np.float32))
    places = np.arange(MEL_BANDS) + random.uniform(-LARGEST_SHIFT, LARGEST_SHIFT)
    low = np.clip(np.floor(places).astype(int), 0, MEL_BANDS - 2)
    share = np.clip(places - low, 0, 1).astype(np.float32)
    moved: NDArray[np.float32] = features[:, low] * (1 - share) + features[:, low + 1] * share
    return moved


def load_rendered(paths: Sequence[Path]) -> list[Heard]:
    """The utterances of rendered shards in files."""
    return utterances([RenderedShard.load(path) for path in paths])
