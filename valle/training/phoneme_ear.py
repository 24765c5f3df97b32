"""An ear for phonemes that the decoder is trained by: made speech shall be to it what true speech is.

Germain, Chen, Koltun, "Speech denoising with deep feature losses" (2018). It is trained on true speech
alone, before the decoder, and is another network with other features and other weights than the recogniser
that speech is judged by in the end.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from valle.audio.builtin.network import Block, FrameConvolution, Spectra, mel_filters
from valle.audio.builtin.pitch import HOP, WINDOW
from valle.training.codec_data import CodecData

BANDS, WIDTH, BLOCKS = 64, 192, 6
HALVES = 2
FRAMES = 75
BATCH, RATE = 16, 2e-3
QUIETEST_NOISE, LOUDEST_NOISE = 0.0003, 0.02


def _log_bands(spectra: Tensor, filters: Tensor) -> Tensor:
    magnitude = (spectra.real.square() + spectra.imag.square() + 1e-9).sqrt()
    return 0.3 * torch.log(magnitude @ filters + 1e-2)


class PhonemeEar(nn.Module):
    """Log-mel frames to the phoneme that sounds in each."""

    filters: Tensor
    finer_filters: Tensor

    def __init__(self, symbols: int) -> None:
        super().__init__()
        self.spectra, self.finer = Spectra(), Spectra(HOP // HALVES)
        self.register_buffer("filters", mel_filters(WINDOW, BANDS), persistent=False)
        self.register_buffer("finer_filters", mel_filters(WINDOW // HALVES, BANDS), persistent=False)
        self.first = FrameConvolution((1 + HALVES) * BANDS, WIDTH, 3)
        self.blocks = nn.ModuleList(Block(WIDTH) for _ in range(BLOCKS))
        self.last = nn.Linear(WIDTH, symbols)

    def forward(self, wave: Tensor) -> tuple[list[Tensor], Tensor]:
        """What each block makes of waves [batch, frames * 320], and the scores [batch, frames, symbols]."""
        bands = _log_bands(self.spectra(wave), self.filters)
        finer = _log_bands(self.finer(wave), self.finer_filters)
        x = self.first(torch.cat([bands, finer.reshape(*bands.shape[:2], -1)], -1))
        heard = []
        for block in self.blocks:
            x = block(x)
            heard.append(x)
        return heard, self.last(x)

    def difference(self, made: Tensor, true: Tensor) -> Tensor:
        """How unlike two waves sound: the mean distance of what the blocks make of them, in units of its
        spread, and of the phonemes heard (Kullback and Leibler)."""
        ours, our_scores = self(made)
        with torch.no_grad():
            theirs, their_scores = self(true)
        apart = [
            (own - other).abs().mean() / (other.std() + 1e-6) for own, other in zip(ours, theirs, strict=True)
        ]
        unlike = functional.kl_div(
            our_scores.log_softmax(-1), their_scores.log_softmax(-1), reduction="none", log_target=True
        )
        return torch.stack(apart).mean() + unlike.sum(-1).mean()


def train_phoneme_ear(data: CodecData, steps: int, seed: int = 0) -> PhonemeEar:
    """An ear that has learnt the phonemes of the data, with noise of many strengths behind them."""
    torch.manual_seed(seed)
    ear = PhonemeEar(len(data.symbols))
    optimizer = torch.optim.AdamW(ear.parameters(), RATE, weight_decay=0.01, fused=True)
    usable = np.flatnonzero(np.diff(data.starts) > FRAMES)
    for step in range(steps):
        for group in optimizer.param_groups:
            group["lr"] = RATE * min(1.0, (step + 1) / 50, 2 * (1 - step / steps))
        random = np.random.default_rng((seed, step))
        places = data.crops(random, BATCH, FRAMES, usable)
        wave = data.wave[places[:, None] * HOP + np.arange(FRAMES * HOP)] / 32768
        loud = np.exp(random.uniform(np.log(QUIETEST_NOISE), np.log(LOUDEST_NOISE), (BATCH, 1)))
        heard = (wave + loud * random.standard_normal(wave.shape)).astype(np.float32)
        wanted = torch.from_numpy(data.phonemes[places[:, None] + np.arange(FRAMES)].astype(np.int64))
        _, scores = ear(torch.from_numpy(heard))
        optimizer.zero_grad()
        functional.cross_entropy(scores.flatten(0, 1), wanted.flatten()).backward()
        optimizer.step()
    return ear.eval().requires_grad_(False)


def phoneme_ear(path: Path, data: CodecData, steps: int = 2000, seed: int = 0) -> PhonemeEar:
    """The ear in a file; it is trained first where there is none."""
    if not path.exists():
        torch.save(train_phoneme_ear(data, steps, seed).state_dict(), path)
    ear = PhonemeEar(len(data.symbols))
    ear.load_state_dict(torch.load(path, weights_only=True))
    return ear.eval().requires_grad_(False)
