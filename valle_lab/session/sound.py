"""How far the sound of two takes is apart, over time: the distance of their mel spectra in decibels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

from valle.audio.wav import SAMPLE_RATE, Wave

WINDOW, HOP, BANDS = 1024, 240, 40
"""Samples of a spectrum and from one to the next, ten milliseconds; bands of the mel scale."""
RANGE_DB = 80.0
"""What is further below the loudest band of both takes counts as silence."""
STRETCH = 0.1
"""Seconds that one distance is the mean over."""
HEARD_DB = 3.0
"""From here on two sounds count as different; decoding the same codes twice gives 0."""

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class SoundDifference:
    """One segment of both takes as sound, compared from its start as far as both go."""

    segment: int
    seconds: tuple[float, float]
    """How long each is."""
    distance: tuple[float, ...]
    """Of every tenth of a second, in decibels: root mean square over the bands of the log-mel spectrum."""
    mean: float
    parts_at: float | None
    """Seconds from the start of the segment at which they can first be told apart; None where never."""


def sound_difference(segment: int, one: Wave, other: Wave) -> SoundDifference:
    """Compare two waves [samples], mono, from their starts."""
    seconds = round(len(one) / SAMPLE_RATE, 3), round(len(other) / SAMPLE_RATE, 3)
    common = min(len(one), len(other))
    if not common:
        return SoundDifference(segment, seconds, (), 0.0, None)
    apart = mel_distance(one[:common], other[:common])
    each = max(1, round(STRETCH * SAMPLE_RATE / HOP))
    means = [float(apart[start : start + each].mean()) for start in range(0, len(apart), each)]
    heard = [number for number, value in enumerate(means) if value >= HEARD_DB]
    return SoundDifference(
        segment,
        seconds,
        tuple(round(value, 2) for value in means),
        round(float(apart.mean()), 3),
        round(heard[0] * STRETCH, 3) if heard else None,
    )


def mel_distance(one: Wave, other: Wave) -> Floats:
    """Root mean square difference [frames] of two waves' log-mel spectra, in decibels."""
    powers = [mel_power(wave) for wave in (one, other)]
    loudest = max(float(power.max(initial=0.0)) for power in powers)
    floor = max(loudest, 1e-10) * 10 ** (-RANGE_DB / 10)
    levels = [10 * np.log10(np.maximum(power, floor)) for power in powers]
    return np.asarray(np.sqrt(((levels[0] - levels[1]) ** 2).mean(axis=1)))


def mel_power(wave: Wave) -> Floats:
    """Power [frames, BANDS] of a wave [samples] in bands of the mel scale; a frame every HOP samples."""
    padded = np.pad(wave.astype(np.float64), WINDOW // 2)
    windows = np.lib.stride_tricks.sliding_window_view(padded, WINDOW)[::HOP][: max(1, len(wave) // HOP)]
    spectra = np.fft.rfft(windows * np.hanning(WINDOW), axis=1)
    return np.asarray((np.abs(spectra) ** 2) @ _filters())


@cache
def _filters() -> Floats:
    """Triangles [WINDOW // 2 + 1, BANDS] on the mel scale of O'Shaughnessy."""
    highest = 2595 * np.log10(1 + SAMPLE_RATE / 1400)
    points = 700 * (10 ** (np.linspace(0, highest, BANDS + 2) / 2595) - 1)
    frequencies = np.linspace(0, SAMPLE_RATE / 2, WINDOW // 2 + 1)[:, None]
    rising = (frequencies - points[:-2]) / (points[1:-1] - points[:-2])
    falling = (points[2:] - frequencies) / (points[2:] - points[1:-1])
    return np.asarray(np.clip(np.minimum(rising, falling), 0, None))


def strip(distances: Sequence[float], highest: float = 30.0) -> str:
    """Distances as a line of blocks, one for each; the highest block is for so many decibels and more."""
    blocks = " ▁▂▃▄▅▆▇█"
    last = len(blocks) - 1
    return "".join(blocks[min(last, round(value / highest * last))] for value in distances)
