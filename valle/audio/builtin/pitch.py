"""Fundamental frequency and voicing per frame, by autocorrelation and a best path over time.

The method is that of P. Boersma, "Accurate short-term analysis of the fundamental frequency and the
harmonics-to-noise ratio of a sampled sound" (1993): the autocorrelation of a windowed frame divided by that
of the window, several candidates per frame, and the cheapest path through them. The path is what keeps
octave errors away from the onset of voiced sounds.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

SAMPLE_RATE = 24000
HOP = 320
WINDOW = 1280
FFT_SIZE = 2048
LOWEST = 60.0
HIGHEST = 500.0
CANDIDATES = 6
VOICING_THRESHOLD = 0.45
SILENCE_THRESHOLD = 0.03
OCTAVE_COST = 0.02
# Boersma's costs are for frames of 10 ms.
OCTAVE_JUMP_COST = 0.35 * 0.01 * SAMPLE_RATE / HOP
VOICING_COST = 0.14 * 0.01 * SAMPLE_RATE / HOP

Floats = NDArray[np.float32]


def frames_around_hops(wave: Floats) -> Floats:
    """The windows that are centred on the hops, [frames, WINDOW], with silence beyond the ends."""
    count = len(wave) // HOP
    side = (WINDOW - HOP) // 2
    padded = np.pad(wave[: count * HOP], (side, side))
    if count == 0:
        return np.zeros((0, WINDOW), np.float32)
    return np.lib.stride_tricks.sliding_window_view(padded, WINDOW)[::HOP]


@lru_cache(maxsize=1)
def _window() -> tuple[Floats, Floats]:
    window = np.hanning(WINDOW + 2)[1:-1].astype(np.float32)
    correlation = np.fft.irfft(np.abs(np.fft.rfft(window, FFT_SIZE)) ** 2)[: WINDOW // 2]
    return window, (correlation / correlation[0]).astype(np.float32)


def _candidates(wave: Floats) -> tuple[Floats, Floats, Floats]:
    """Frequencies and strengths of the candidates [frames, 6], and the strength of no voice [frames]."""
    window, window_correlation = _window()
    frames = frames_around_hops(wave)
    frames = (frames - frames.mean(1, keepdims=True)) * window
    spectrum = np.fft.rfft(frames, FFT_SIZE)
    correlation = np.fft.irfft(spectrum.real**2 + spectrum.imag**2, axis=1)[:, : WINDOW // 2]
    correlation = correlation / (correlation[:, :1] + 1e-6) / window_correlation
    low, high = int(SAMPLE_RATE / HIGHEST), int(SAMPLE_RATE / LOWEST) + 1
    before, here, after = (correlation[:, low + d : high + d] for d in (-1, 0, 1))
    peak = (here > before) & (here >= after) & (here > 0)
    curvature = np.where(peak, before - 2 * here + after, -1.0)
    offset = np.where(peak, 0.5 * (before - after) / np.minimum(curvature, -1e-9), 0.0)
    height = here - 0.25 * (before - after) * offset
    lag = np.arange(low, high)[None] + offset
    strength = np.where(
        peak, np.minimum(height, 1.0) - OCTAVE_COST * np.log2(LOWEST * lag / SAMPLE_RATE), -9.0
    )
    best = np.argpartition(-strength, CANDIDATES, axis=1)[:, :CANDIDATES]
    loudness = np.abs(frames).max(1) / (np.abs(wave).max() + 1e-6) if len(wave) else np.zeros(len(frames))
    quiet = np.maximum(0.0, 2.0 - loudness / SILENCE_THRESHOLD * (1 + VOICING_THRESHOLD))
    unvoiced = VOICING_THRESHOLD + quiet
    return (
        (SAMPLE_RATE / np.take_along_axis(lag, best, 1)).astype(np.float32),
        np.take_along_axis(strength, best, 1).astype(np.float32),
        unvoiced.astype(np.float32),
    )


def _best_path(frequency: Floats, strength: Floats, unvoiced: Floats) -> NDArray[np.int64]:
    """The index of the candidate of each frame on the cheapest path; CANDIDATES stands for unvoiced."""
    count = len(frequency)
    scores = np.concatenate([strength, unvoiced[:, None]], 1)
    octave = np.log2(frequency)
    steps = np.full((count, CANDIDATES + 1, CANDIDATES + 1), VOICING_COST, np.float32)
    steps[1:, :-1, :-1] = OCTAVE_JUMP_COST * np.abs(octave[:-1, :, None] - octave[1:, None, :])
    steps[:, -1, -1] = 0.0
    total = scores[0] if count else np.zeros(CANDIDATES + 1)
    back = np.zeros((count, CANDIDATES + 1), np.int64)
    for t in range(1, count):
        reached = total[:, None] - steps[t]
        back[t] = reached.argmax(0)
        total = reached.max(0) + scores[t]
    path = np.zeros(count, np.int64)
    state = int(np.argmax(total))
    for t in range(count - 1, -1, -1):
        path[t] = state
        state = int(back[t, state])
    return path


def track_pitch(wave: Floats) -> tuple[Floats, Floats]:
    """Fundamental frequency in Hz and voicing (0 or 1) of each frame of 320 samples, both [frames].

    Where there is no voice the frequency is interpolated between the voiced frames beside it (120 Hz when
    there are none), so that it can be used as a smooth curve.
    """
    frequency, strength, unvoiced = _candidates(np.asarray(wave, np.float32))
    count = len(frequency)
    path = _best_path(frequency, strength, unvoiced)
    voiced = path < CANDIDATES
    if not voiced.any():
        return np.full(count, 120.0, np.float32), np.zeros(count, np.float32)
    where = np.flatnonzero(voiced)
    found = frequency[where, path[where]]
    curve = np.exp(np.interp(np.arange(count), where, np.log(found)))
    return curve.astype(np.float32), voiced.astype(np.float32)
