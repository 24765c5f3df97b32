"""The losses of the codec: spectra alone, since the phase of a harmonic source is free."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from valle.audio.builtin.network import mel_filters
from valle.audio.builtin.pitch import SAMPLE_RATE

MEL_BANDS = {2048: 80, 1024: 80, 512: 64, 256: 40, 128: 20}
LINEAR_WINDOWS = (2048, 1024, 512)
# Of half the sample rate: above 10 kHz espeak's own audio ends.
LINEAR_SHARE = 0.84
ENVELOPE_WINDOW, ENVELOPE_HOP = 614, 307
LOWEST_BAND, BANDS = 150.0, 15
ENVELOPE_FRAMES, ENVELOPE_STRIDE = 30, 5
QUIET = 0.01
"""Of the loudest stretch: what is softer has no envelope to follow."""


class SpectralLoss(nn.Module):
    """Log-mel distance over five windows, log-magnitude distance and spectral convergence over three."""

    def __init__(self) -> None:
        super().__init__()
        for window, bands in MEL_BANDS.items():
            self.register_buffer(f"filters{window}", mel_filters(window, bands))
            self.register_buffer(f"window{window}", torch.hann_window(window))

    def _magnitudes(self, wave: Tensor, window: int) -> Tensor:
        padded = functional.pad(wave, (window // 2, window // 2))
        frames = padded.unfold(1, window, window // 4) * getattr(self, f"window{window}")
        spectra = torch.fft.rfft(frames)
        magnitudes: Tensor = (spectra.real.square() + spectra.imag.square() + 1e-9).sqrt()
        return magnitudes

    def forward(self, made: Tensor, true: Tensor) -> tuple[Tensor, Tensor]:
        """The mel loss and the linear loss of waves [batch, samples] against the true ones."""
        mel_loss, linear_loss = made.new_zeros(()), made.new_zeros(())
        for window in MEL_BANDS:
            ours = self._magnitudes(made, window)
            with torch.no_grad():
                theirs = self._magnitudes(true, window)
            filters = getattr(self, f"filters{window}") * (4 / window)
            our_mel, their_mel = ours @ filters, theirs @ filters
            mel_loss = mel_loss + (torch.log(our_mel + 1e-4) - torch.log(their_mel + 1e-4)).abs().mean()
            mel_loss = mel_loss + 10 * (our_mel - their_mel).abs().mean()
            if window in LINEAR_WINDOWS:
                top = int(LINEAR_SHARE * window / 2)
                ours, theirs = ours[..., :top], theirs[..., :top]
                scale = 2 * window**-0.5
                log_ratio = torch.log(ours * scale + 1e-3) - torch.log(theirs * scale + 1e-3)
                convergence = (ours - theirs).norm() / (theirs.norm() + 1e-6)
                linear_loss = linear_loss + log_ratio.abs().mean() + convergence
        return mel_loss / len(MEL_BANDS), linear_loss / len(LINEAR_WINDOWS)


def third_octaves(bins: int) -> Tensor:
    """Which of `bins` evenly spaced up to half the sample rate lie in each third of an octave, [bins, 15]."""
    frequency = torch.linspace(0, SAMPLE_RATE / 2, bins)[:, None]
    centre = LOWEST_BAND * 2 ** (torch.arange(BANDS) / 3)
    return ((frequency >= centre * 2 ** (-1 / 6)) & (frequency < centre * 2 ** (1 / 6))).float()


class EnvelopeLoss(nn.Module):
    """How badly the loudness of 15 bands follows the true one over 0.4 s: 1 less their correlation.

    What STOI measures (Taal et al., "An algorithm for intelligibility prediction of time-frequency weighted
    noisy speech", 2011), without its clipping.
    """

    bands: Tensor
    window: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("bands", third_octaves(513))
        self.register_buffer("window", torch.hann_window(ENVELOPE_WINDOW))

    def _stretches(self, wave: Tensor) -> Tensor:
        """The loudness of the bands in overlapping stretches, [batch, stretches, bands, 30 frames]."""
        frames = wave.unfold(1, ENVELOPE_WINDOW, ENVELOPE_HOP) * self.window
        spectra = torch.fft.rfft(frames, 1024)
        power = spectra.real.square() + spectra.imag.square()
        loudness: Tensor = (power @ self.bands + 1e-6).sqrt()
        return loudness.unfold(1, ENVELOPE_FRAMES, ENVELOPE_STRIDE)

    def forward(self, made: Tensor, true: Tensor) -> Tensor:
        """The mean over stretches and bands of waves [batch, samples] that are not nearly silent."""
        ours, theirs = self._stretches(made), self._stretches(true)
        loudness = theirs.square().mean((2, 3), keepdim=True)
        heard = (loudness > QUIET * loudness.amax(1, keepdim=True)).float()
        ours, theirs = (each - each.mean(-1, keepdim=True) for each in (ours, theirs))
        alike = functional.cosine_similarity(ours, theirs, dim=-1, eps=1e-4)
        loss: Tensor = 1 - (alike[..., None] * heard).sum() / (heard.sum() * BANDS)
        return loss
