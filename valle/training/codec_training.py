"""The training of the built-in codec."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from valle.audio.builtin.network import CodecNetwork, CodecShape, frame_phases, pulse_train
from valle.audio.builtin.pitch import HOP
from valle.training.codec_data import CodecData
from valle.training.codec_losses import EnvelopeLoss, SpectralLoss
from valle.training.phoneme_ear import FRAMES, PhonemeEar
from valle.training.precision import mixed
from valle.training.quantiser import TrainedQuantiser


@dataclass(frozen=True)
class CodecRecipe:
    """How the codec is trained.

    `frozen` leaves encoder and codebooks as they are: decoder and pitch reader go on learning, and no code
    changes. Where the data has codes that a model has made, the share `spoken` of the batches is of these.
    """

    batch: int = 6
    learning_rate: float = 1.2e-3
    quantiser_start: int = 500
    fewer_levels: float = 0.2
    pitch_weight: float = 4.0
    voicing_weight: float = 0.5
    phoneme_weight: float = 0.5
    commitment_weight: float = 0.25
    envelope_weight: float = 1.0
    ear_weight: float = 2.0
    clip: float = 2.0
    seed: int = 0
    frozen: bool = False
    spoken: float = 0.4
    shape: CodecShape = field(default_factory=CodecShape)


@dataclass(frozen=True)
class CodecBatch:
    """Crops of one second: waves [batch, frames * 320], and per frame pitch, voicing and phoneme ids.

    spoken [batch, frames, 8]: codes to decode in the place of the encoder's, if there are any.
    """

    wave: Tensor
    pitch: Tensor
    voicing: Tensor
    phonemes: Tensor
    spoken: Tensor | None = None


def phoneme_head(latent: int, symbols: int) -> nn.Module:
    """What reads phonemes from the first codebook while it is trained; it is dropped afterwards."""
    return nn.Sequential(nn.Linear(latent, 128), nn.ReLU(), nn.Linear(128, symbols))


class CodecTrainer:
    """The networks, optimiser and data of a codec's training, and its step."""

    def __init__(self, data: CodecData, recipe: CodecRecipe, ear: PhonemeEar | None = None) -> None:
        torch.manual_seed(recipe.seed)
        self.data, self.recipe, self.ear = data, recipe, ear
        self.network = CodecNetwork(recipe.shape)
        self.head = phoneme_head(recipe.shape.latent, len(data.symbols))
        self.quantiser = TrainedQuantiser(self.network.codebooks, recipe.shape)
        self.loss, self.envelopes = SpectralLoss(), EnvelopeLoss()
        learning = [self.network.pitch_reader, self.network.decoder]
        learning += [] if recipe.frozen else [self.network.encoder, self.head]
        self.parameters = [parameter for module in learning for parameter in module.parameters()]
        self.optimizer = torch.optim.AdamW(
            self.parameters, recipe.learning_rate, betas=(0.8, 0.98), weight_decay=0.0, fused=True
        )
        self.step = 0

    def state(self) -> dict[str, Any]:
        """All that a resumed run needs."""
        return {
            "network": self.network.state_dict(),
            "head": self.head.state_dict(),
            "quantiser": self.quantiser.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "symbols": list(self.data.symbols),
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from a saved state."""
        self.network.load_state_dict(state["network"])
        self.head.load_state_dict(state["head"])
        self.quantiser.load_state_dict(state["quantiser"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.step = state["step"]

    def adopt(self, network: CodecNetwork) -> None:
        """Begin with a trained codec, its quantiser as it is, and fresh optimisers."""
        self.network.load_state_dict(network.state_dict())

    def batch(self, random: np.random.Generator, count: int) -> CodecBatch:
        """Crops at random places, a little louder or softer than the data where the encoder hears them."""
        lengths = np.diff(self.data.starts)
        usable = np.flatnonzero(lengths > FRAMES)
        spoken = self.data.spoken
        if spoken is not None:
            wanted = random.random() < self.recipe.spoken
            usable = usable[(spoken[self.data.starts[usable], 0] >= 0) == wanted]
            spoken = spoken if wanted else None
        places = self.data.crops(random, count, FRAMES, usable)
        frames = places[:, None] + np.arange(FRAMES)
        samples = places[:, None] * HOP + np.arange(FRAMES * HOP)
        loudness = 3.0 if spoken is None else 0.0
        gain = 10 ** (random.uniform(-loudness, loudness, (count, 1)) / 20)
        return CodecBatch(
            torch.from_numpy((self.data.wave[samples] / 32768 * gain).astype(np.float32)),
            torch.from_numpy(self.data.pitch[frames]),
            torch.from_numpy(self.data.voicing[frames]),
            torch.from_numpy(self.data.phonemes[frames].astype(np.int64)),
            None if spoken is None else torch.from_numpy(spoken[frames].astype(np.int64)),
        )

    @torch.no_grad()
    def _start_quantiser(self, random: np.random.Generator, generator: torch.Generator) -> None:
        latents = []
        for _ in range(14):
            batch = self.batch(random, 16)
            latents.append(self.network.encoder(batch.wave, batch.pitch, batch.voicing).flatten(0, 1))
        self.quantiser.start(torch.cat(latents), self.recipe.batch * FRAMES, generator)

    def train_step(self, factor: float) -> dict[str, float]:
        """One step at a factor of the base rate; returns the parts of the loss."""
        recipe = self.recipe
        random = np.random.default_rng((recipe.seed, self.step))
        generator = torch.Generator().manual_seed(int(random.integers(1 << 60)))
        if self.step == recipe.quantiser_start and not recipe.frozen:
            self._start_quantiser(random, generator)
        for group in self.optimizer.param_groups:
            group["lr"] = recipe.learning_rate * factor
        batch = self.batch(random, recipe.batch)
        parts = self._parts(batch, random, generator)
        weighted = (
            parts["mel"] + parts["linear"] + recipe.pitch_weight * parts["pitch"]
            + recipe.voicing_weight * parts["voicing"] + recipe.phoneme_weight * parts["phonemes"]
            + recipe.commitment_weight * parts["commitment"]
            + recipe.envelope_weight * parts["envelope"] + recipe.ear_weight * parts["ear"]
        )  # fmt: skip
        self.optimizer.zero_grad()
        weighted.backward()
        nn.utils.clip_grad_norm_(self.parameters, recipe.clip)
        self.optimizer.step()
        self.step += 1
        return {name: float(value.detach()) for name, value in parts.items()}

    def summary(self, results: list[dict[str, float]]) -> dict[str, float]:
        """The means of the parts of the loss."""
        return {name: round(float(np.mean([each[name] for each in results])), 4) for name in results[0]}

    def _quantised(
        self, batch: CodecBatch, random: np.random.Generator, generator: torch.Generator
    ) -> tuple[Tensor, Tensor, Tensor]:
        """What the decoder is given: the sum over the levels, the first level, and the commitment loss."""
        all_levels = self.recipe.shape.levels
        fewer = random.random() < self.recipe.fewer_levels
        levels = int(random.integers(1, all_levels + 1)) if fewer else all_levels
        if self.recipe.frozen:
            with torch.no_grad():
                if batch.spoken is not None:
                    codes, levels = batch.spoken, all_levels
                else:
                    latents = self.network.encoder(batch.wave, batch.pitch, batch.voicing)
                    codes = self.network.quantise(latents)
                quantised, first = self.network.vectors(codes[..., :levels])
            return quantised, first, quantised.new_zeros(())
        with mixed("cpu"):
            latents = self.network.encoder(batch.wave, batch.pitch, batch.voicing).float()
        if self.step < self.recipe.quantiser_start:
            return latents, latents, latents.new_zeros(())
        found: tuple[Tensor, Tensor, Tensor] = self.quantiser(latents, levels, generator)
        return found

    def _parts(
        self, batch: CodecBatch, random: np.random.Generator, generator: torch.Generator
    ) -> dict[str, Tensor]:
        quantised, first, commitment = self._quantised(batch, random, generator)
        pitch, odds = self.network.pitch_reader(first, quantised)
        begin = torch.rand((len(pitch), 1), generator=generator, dtype=torch.float64)
        turns = frame_phases(batch.pitch)
        pulses = pulse_train(batch.pitch, batch.voicing, begin + turns.cumsum(1) - turns)
        noise = torch.randn(pulses.shape, generator=generator)
        with mixed("cpu"):
            made = self.network.decoder(quantised, pulses, noise)
        mel, linear = self.loss(made, batch.wave)
        cents = (torch.log(pitch / batch.pitch).abs() * batch.voicing).sum() / (batch.voicing.sum() + 1)
        return {
            "mel": mel,
            "linear": linear,
            "pitch": cents,
            "voicing": functional.binary_cross_entropy_with_logits(odds, batch.voicing),
            "phonemes": self._phoneme_loss(first, batch),
            "commitment": commitment,
            "envelope": self.envelopes(made, batch.wave),
            "ear": made.new_zeros(()) if self.ear is None else self.ear.difference(made, batch.wave),
        }

    def _phoneme_loss(self, first: Tensor, batch: CodecBatch) -> Tensor:
        """How well the phonemes are read from the first level; nothing learns of it in a frozen codec."""
        if self.recipe.frozen:
            return first.new_zeros(())
        with mixed("cpu"):
            phonemes = self.head(first)
        return functional.cross_entropy(phonemes.float().flatten(0, 1), batch.phonemes.flatten())
