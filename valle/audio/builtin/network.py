"""The network of the built-in codec: an encoder at frame rate, and a decoder that shapes a harmonic source.

All of its layers work at 75 frames a second. The decoder reads pitch and voicing from the first codebook,
which the others may refine, makes a pulse train of that pitch, and predicts for every bin of a short-time
spectrum a gain and a phase offset for the pulses and a gain for noise, whose loudness may change within a
frame, as a burst does (source and filter as in Wang, Takaki, Yamagishi, "Neural
source-filter-based waveform model", 2018; inverse STFT as in Siuzdak, "Vocos", 2023; blocks of Liu et al., "A
ConvNet for the 2020s", 2022). Tensors are [batch, frames, channels].
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from valle.audio.builtin.pitch import HOP, SAMPLE_RATE, WINDOW

OVERLAP = WINDOW // HOP
MEAN_PITCH = 120.0
HIGHEST_HARMONIC = 11500.0
# Four Hann windows squared, a quarter apart, sum to 1.5 everywhere.
OVERLAP_GAIN = 1 / 1.5


@dataclass(frozen=True)
class CodecShape:
    """The sizes of the codec's network; `spectra` is how many the decoder shapes in a frame."""

    width: int = 224
    latent: int = 128
    pitch_width: int = 128
    mel_bands: int = 96
    source_bands: int = 80
    encoder_blocks: int = 3
    decoder_blocks: int = 8
    pitch_blocks: int = 2
    noise_steps: int = 8
    spectra: int = 2
    levels: int = 8
    size: int = 1024


def mel_filters(window: int, bands: int, sample_rate: int = SAMPLE_RATE) -> Tensor:
    """Triangular filters on the mel scale of O'Shaughnessy, [window // 2 + 1, bands]."""
    highest = 2595 * math.log10(1 + sample_rate / 1400)
    points = 700 * (10 ** (torch.linspace(0, highest, bands + 2) / 2595) - 1)
    frequencies = torch.linspace(0, sample_rate / 2, window // 2 + 1)[:, None]
    rising = (frequencies - points[:-2]) / (points[1:-1] - points[:-2])
    falling = (points[2:] - frequencies) / (points[2:] - points[1:-1])
    return torch.minimum(rising, falling).clamp_min(0)


def exact_product(left: Tensor, right: Tensor) -> Tensor:
    """A matrix product that keeps its precision under autocast."""
    with torch.autocast(left.device.type, enabled=False):
        return left @ right


class FrameConvolution(nn.Module):
    """A convolution over frames, computed as one matrix product."""

    def __init__(self, inputs: int, outputs: int, kernel: int) -> None:
        super().__init__()
        self.kernel = kernel
        self.product = nn.Linear(inputs * kernel, outputs)

    def forward(self, x: Tensor) -> Tensor:
        half = self.kernel // 2
        frames = x.shape[1]
        padded = functional.pad(x, (0, 0, half, half))
        near = torch.cat([padded[:, k : k + frames] for k in range(self.kernel)], -1)
        result: Tensor = self.product(near)
        return result


class Block(nn.Module):
    """A ConvNeXt block: depthwise convolution over 7 frames, norm, two products, a scaled residual."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.depthwise = nn.Parameter(torch.empty(7, width).uniform_(-1, 1) / math.sqrt(7))
        self.bias = nn.Parameter(torch.zeros(width))
        self.norm = nn.LayerNorm(width)
        self.widen = nn.Linear(width, 3 * width)
        self.narrow = nn.Linear(3 * width, width)
        self.scale = nn.Parameter(torch.full((width,), 0.2))

    def forward(self, x: Tensor) -> Tensor:
        frames = x.shape[1]
        padded = functional.pad(x, (0, 0, 3, 3))
        mixed = self.bias + torch.zeros_like(x)
        for k in range(7):
            mixed = mixed + padded[:, k : k + frames] * self.depthwise[k]
        change: Tensor = self.narrow(functional.gelu(self.widen(self.norm(mixed))))
        return x + self.scale * change


class Spectra(nn.Module):
    """The short-time spectrum with one frame every `step` samples, and its inverse by overlap and add."""

    window: Tensor

    def __init__(self, step: int = HOP) -> None:
        super().__init__()
        self.step, self.size = step, OVERLAP * step
        self.side = (self.size - step) // 2
        self.bins = self.size // 2 + 1
        self.register_buffer("window", torch.hann_window(self.size), persistent=False)

    def forward(self, wave: Tensor) -> Tensor:
        """Complex spectra [batch, frames, bins] of waves [batch, frames * step]."""
        frames = functional.pad(wave, (self.side, self.side)).unfold(1, self.size, self.step)
        spectra: Tensor = torch.fft.rfft(frames * self.window)
        return spectra

    def inverse(self, spectra: Tensor) -> Tensor:
        """Waves [batch, frames * step] of complex spectra [batch, frames, bins]."""
        batch, count, _ = spectra.shape
        frames = torch.fft.irfft(spectra, self.size) * self.window
        pieces = frames.view(batch, count, OVERLAP, self.step)
        wave: Tensor = frames.new_zeros(batch, (count + OVERLAP - 1) * self.step)
        for k in range(OVERLAP):
            ends = (self.step * k, self.step * (OVERLAP - 1 - k))
            wave = wave + functional.pad(pieces[:, :, k].reshape(batch, -1), ends)
        return wave[:, self.side : self.side + count * self.step] * OVERLAP_GAIN


class Encoder(nn.Module):
    """From a wave, its pitch and its voicing to latents [batch, frames, latent]."""

    filters: Tensor

    def __init__(self, shape: CodecShape) -> None:
        super().__init__()
        self.spectra = Spectra()
        self.register_buffer("filters", mel_filters(WINDOW, shape.mel_bands), persistent=False)
        self.first = FrameConvolution(shape.mel_bands + 2, shape.width, 3)
        self.blocks = nn.ModuleList(Block(shape.width) for _ in range(shape.encoder_blocks))
        self.last = nn.Linear(shape.width, shape.latent)

    def forward(self, wave: Tensor, pitch: Tensor, voicing: Tensor) -> Tensor:
        mel = torch.log(exact_product(self.spectra(wave).abs(), self.filters) + 1e-3)
        height = 3 * torch.log(pitch / MEAN_PITCH) * voicing
        x = self.first(torch.cat([0.3 * mel, height[..., None], voicing[..., None]], -1))
        for block in self.blocks:
            x = block(x)
        latents: Tensor = self.last(x)
        return latents


def frame_edges(curve: Tensor) -> Tensor:
    """A curve given at the middle of frames, or other steps, at their edges: [batch, n] to [batch, n + 1]."""
    middle = (curve[:, 1:] + curve[:, :-1]) / 2
    return torch.cat([curve[:, :1], middle, curve[:, -1:]], 1)


def frame_phases(pitch: Tensor) -> Tensor:
    """How many turns (float64) the source makes in each frame [batch, frames], for its pitch in Hz."""
    edges = frame_edges(pitch.double())
    return (HOP * edges[:, :-1] + (edges[:, 1:] - edges[:, :-1]) * (HOP - 1) / 2) / SAMPLE_RATE


def pulse_train(pitch: Tensor, voicing: Tensor, phases: Tensor) -> Tensor:
    """A band-limited pulse train [batch, frames * HOP]: the Dirichlet kernel of the running phase.

    pitch (Hz) and voicing (0 to 1) are [batch, frames]; phases [batch, frames] is the phase in turns at the
    start of each frame, float64.
    """
    k = torch.arange(HOP, dtype=torch.float64, device=pitch.device)
    edges = frame_edges(pitch.double())
    start, rise = edges[:, :-1, None], (edges[:, 1:] - edges[:, :-1])[..., None]
    turns = phases[..., None] + (start * k + rise * k * (k - 1) / (2 * HOP)) / SAMPLE_RATE
    angle = ((turns % 1.0) * (2 * math.pi)).float()
    frequency = (start + rise * k / HOP).float()
    harmonics = torch.floor(HIGHEST_HARMONIC / frequency)
    half = torch.sin(angle / 2)
    half = torch.where(half.abs() < 1e-4, torch.full_like(half, 1e-4), half)
    pulses = torch.sin((harmonics + 0.5) * angle) / (2 * half) - 0.5
    gates = frame_edges(voicing)
    gate = gates[:, :-1, None] + (gates[:, 1:] - gates[:, :-1])[..., None] * (k / HOP).float()
    return (pulses * harmonics.rsqrt() * gate).flatten(1)


class PitchReader(nn.Module):
    """Reads pitch and voicing from the vectors of the first codebook, and what the others add to them."""

    REACH = 2 + 3 * 2 + 1

    def __init__(self, shape: CodecShape) -> None:
        super().__init__()
        self.first = FrameConvolution(shape.latent, shape.pitch_width, 5)
        self.rest = nn.Linear(shape.latent, shape.pitch_width, bias=False)
        nn.init.zeros_(self.rest.weight)
        self.blocks = nn.ModuleList(Block(shape.pitch_width) for _ in range(shape.pitch_blocks))
        self.last = FrameConvolution(shape.pitch_width, 2, 3)

    def forward(self, first_level: Tensor, total: Tensor) -> tuple[Tensor, Tensor]:
        """The pitch in Hz and the log-odds of voicing, both [batch, frames].

        first_level and total [batch, frames, latent] are what `CodecNetwork.vectors` gives.
        """
        x = self.first(first_level) + self.rest(total - first_level)
        for block in self.blocks:
            x = block(x)
        height, odds = self.last(x).float().unbind(-1)
        return torch.exp(0.3 * height + math.log(MEAN_PITCH)), odds


class Decoder(nn.Module):
    """From latents and a source to a wave: gains and phase offsets for pulses, gains for noise."""

    filters: Tensor

    def __init__(self, shape: CodecShape) -> None:
        super().__init__()
        self.spectra, self.shaped = Spectra(), Spectra(HOP // shape.spectra)
        self.register_buffer("filters", mel_filters(WINDOW, shape.source_bands), persistent=False)
        self.first = FrameConvolution(shape.latent, shape.width, 7)
        self.loudness = FrameConvolution(shape.latent, shape.noise_steps, 3)
        self.source = FrameConvolution(shape.source_bands, shape.width, 3)
        self.blocks = nn.ModuleList(Block(shape.width) for _ in range(shape.decoder_blocks))
        self.norm = nn.LayerNorm(shape.width)
        self.last = nn.Linear(shape.width, shape.spectra * 3 * self.shaped.bins)
        with torch.no_grad():
            self.last.weight.view(shape.spectra, 3, -1)[:, 1] *= 0.1
            self.loudness.product.weight.zero_()
            self.loudness.product.bias.zero_()

    def forward(self, latents: Tensor, pulses: Tensor, noise: Tensor) -> Tensor:
        """A wave [batch, frames * HOP]; pulses and noise (of unit variance) have that shape too."""
        bands = torch.log(exact_product(self.spectra(pulses).abs(), self.filters) + 1e-3)
        x = self.first(latents) + self.source(0.3 * bands)
        for block in self.blocks:
            x = block(x)
        shapes = self.last(self.norm(x)).float().view(len(x), -1, 3, self.shaped.bins)
        gain, offset, noise_gain = shapes.unbind(2)
        turn = torch.polar(torch.exp((gain - 2).clamp(max=6)), offset)
        voiced = self.shaped(pulses) * turn
        noisy = self.shaped(noise * self._noise_loudness(latents)) * torch.exp((noise_gain - 6).clamp(max=3))
        return self.shaped.inverse(voiced + noisy)

    def _noise_loudness(self, latents: Tensor) -> Tensor:
        """How loud the noise is at every sample, [batch, frames * HOP]: a line over each step of a frame."""
        steps = torch.exp(self.loudness(latents).float().clamp(-4, 3))
        length = HOP // steps.shape[-1]
        edges = frame_edges(steps.flatten(1))[..., None]
        along = torch.arange(length, device=steps.device) / length
        return (edges[:, :-1] + (edges[:, 1:] - edges[:, :-1]) * along).flatten(1)


class CodecNetwork(nn.Module):
    """Encoder, codebooks, pitch reader and decoder: all that the codec's file holds."""

    codebooks: Tensor

    def __init__(self, shape: CodecShape) -> None:
        super().__init__()
        self.shape = shape
        self.encoder = Encoder(shape)
        self.pitch_reader = PitchReader(shape)
        self.decoder = Decoder(shape)
        self.register_buffer("codebooks", torch.zeros(shape.levels, shape.size, shape.latent))

    def quantise(self, latents: Tensor) -> Tensor:
        """The nearest codes, level by level, int64 [batch, frames, levels], of latents [..., latent]."""
        rest = latents.float()
        found = []
        for book in self.codebooks:
            index = (book.pow(2).sum(1) - 2 * rest @ book.t()).argmin(-1)
            rest = rest - book[index]
            found.append(index)
        return torch.stack(found, -1)

    def vectors(self, codes: Tensor) -> tuple[Tensor, Tensor]:
        """The sum of the vectors of codes [batch, frames, L <= levels], and those of the first level."""
        first = self.codebooks[0][codes[..., 0]]
        total = first
        for level in range(1, codes.shape[-1]):
            total = total + self.codebooks[level][codes[..., level]]
        return total, first
