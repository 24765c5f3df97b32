"""The sound of a take: its wave, and its spectrogram."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from valle.audio.wav import SAMPLE_RATE, Wave
from valle_lab.figures.canvas import BLUE, Picture, nothing, plain, sheet

WINDOW, HOP = 1024, 256
FLOOR_DB = -80.0
"""Below the loudest, where the picture ends."""


def spectrogram(wave: Wave, rate: int = SAMPLE_RATE) -> Picture:
    """The wave [samples] above, below it the level in dB of each frequency over time."""
    if len(wave) < WINDOW:
        return nothing("no sound")
    figure = sheet(9, 4)
    above, below = figure.subplots(2, sharex=True, height_ratios=[1, 3])
    seconds = len(wave) / rate
    plain(above).plot(np.arange(len(wave)) / rate, wave, color=BLUE, linewidth=0.3, rasterized=True)
    above.set_ylim(-1, 1)
    levels = decibels(wave)
    image = plain(below).imshow(
        levels.T,
        origin="lower",
        extent=(0.0, seconds, 0.0, rate / 2000),
        aspect="auto",
        vmin=FLOOR_DB,
        vmax=0.0,
        cmap="magma",
    )
    below.set_ylabel("kHz", fontsize="small")
    below.set_xlabel("seconds", fontsize="small")
    figure.colorbar(image, ax=below, label="dB")
    return Picture(figure)


def decibels(wave: Wave) -> NDArray[np.float32]:
    """The magnitude of each frequency of Hann windows, in dB below the largest, [windows, WINDOW / 2 + 1]."""
    windows = np.lib.stride_tricks.sliding_window_view(wave, WINDOW)[::HOP]
    magnitude = np.abs(np.fft.rfft(windows * np.hanning(WINDOW), axis=1))
    highest = max(float(magnitude.max()), 1e-9)
    below: NDArray[np.float32] = 20 * np.log10(np.maximum(magnitude / highest, 1e-9)).astype(np.float32)
    return np.maximum(below, np.float32(FLOOR_DB))
