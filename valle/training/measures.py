"""What speech is measured by: harmonics, pitch, intelligibility, the nearest text and the nearest voice."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from valle.audio.builtin.network import mel_filters
from valle.audio.builtin.pitch import SAMPLE_RATE, WINDOW, frames_around_hops, track_pitch

Floats = NDArray[np.float32]
MEL_BANDS = 40
HARMONICS_WINDOW, HARMONICS_HOP = 960, 480


def harmonics_to_noise(wave: Floats) -> float:
    """Mean harmonics-to-noise ratio in dB of the frames that have a period at all (Boersma, 1993).

    The windows are short, so that a gliding pitch does not count as noise.
    """
    count = (len(wave) - HARMONICS_WINDOW) // HARMONICS_HOP + 1
    if count < 1:
        return float("nan")
    window = np.hanning(HARMONICS_WINDOW)
    frames = np.lib.stride_tricks.sliding_window_view(wave, HARMONICS_WINDOW)[::HARMONICS_HOP]
    loud = frames.std(1) > 0.01
    spectrum = np.abs(np.fft.rfft(frames[loud] * window, 2048)) ** 2
    correlation = np.fft.irfft(spectrum)[:, :480]
    expected = np.fft.irfft(np.abs(np.fft.rfft(window, 2048)) ** 2)[:480]
    normal = correlation / (correlation[:, :1] + 1e-12) / (expected / expected[0])
    peak = normal[:, 60:400].max(1)
    peak = np.minimum(peak[peak > 0.3], 0.9999)
    return float(np.mean(10 * np.log10(peak / (1 - peak)))) if len(peak) else float("nan")


def pitch_error(made: Floats, true: Floats) -> tuple[float, float]:
    """Median error of the fundamental in cents where both are voiced, and share of frames voiced alike."""
    ours, our_voicing = track_pitch(made)
    theirs, their_voicing = track_pitch(true)
    count = min(len(ours), len(theirs))
    both = (our_voicing[:count] > 0) & (their_voicing[:count] > 0)
    cents = 1200 * np.abs(np.log2(ours[:count][both] / theirs[:count][both]))
    alike = float((our_voicing[:count] == their_voicing[:count]).mean()) if count else float("nan")
    return (float(np.median(cents)) if both.any() else float("nan")), alike


def intelligibility(made: Floats, true: Floats) -> float:
    """STOI, from 0 to 1 (Taal et al., 2011)."""
    from pystoi import stoi

    count = min(len(made), len(true))
    return float(stoi(true[:count], made[:count], SAMPLE_RATE))


def perceptual_quality(made: Floats, true: Floats) -> float:
    """Wide-band PESQ, from 1 to 4.5 (ITU-T P.862.2)."""
    import soxr
    from pesq import pesq

    count = min(len(made), len(true))
    ours, theirs = (soxr.resample(wave[:count], SAMPLE_RATE, 16000) for wave in (made, true))
    return float(pesq(16000, theirs, ours, "wb"))


@lru_cache(maxsize=1)
def _filters() -> Floats:
    filters: Floats = mel_filters(WINDOW, MEL_BANDS).numpy()
    return filters


def log_mel(wave: Floats) -> Floats:
    """Log-mel frames [frames, 40], each band without its mean, so that level and timbre count less."""
    window = np.hanning(WINDOW).astype(np.float32)
    magnitude = np.abs(np.fft.rfft(frames_around_hops(np.asarray(wave, np.float32)) * window))
    mel = np.log(magnitude @ _filters() + 1e-3)
    centred: Floats = (mel - mel.mean(0)).astype(np.float32)
    return centred


def warped_distances(query: Floats, references: Sequence[Floats]) -> Floats:
    """Dynamic time warping of a query [frames, bands] with each reference: mean distance along the best path.

    Steps are (1, 0), (0, 1) and (1, 1), the diagonal counted twice (Sakoe and Chiba, 1978), so that the sum
    is divided by the two lengths. Computed along diagonals, for all references at once.
    """
    rows, longest = len(query), max(len(reference) for reference in references)
    cost = np.full((len(references), rows, longest), np.float32(1e6))
    for index, reference in enumerate(references):
        squares = (query**2).sum(1)[:, None] + (reference**2).sum(1) - 2 * query @ reference.T
        cost[index, :, : len(reference)] = np.sqrt(np.maximum(squares, 0))
    row = np.arange(rows)
    earlier = last = np.full((len(references), rows + 1), np.float32(np.inf))
    earlier = earlier.copy()
    earlier[:, 0] = 0
    ends = {len(reference) + rows - 2 for reference in references}
    reached = {}
    for diagonal in range(rows + longest - 1):
        column = diagonal - row
        inside = (column >= 0) & (column < longest)
        here = np.where(inside, cost[:, row, np.clip(column, 0, longest - 1)], np.float32(np.inf))
        current = np.full_like(last, np.inf)
        straight = np.minimum(last[:, :-1], last[:, 1:]) + here
        current[:, 1:] = np.minimum(straight, earlier[:, :-1] + 2 * here)
        earlier, last = last, current
        if diagonal in ends:
            reached[diagonal] = current[:, -1]
    lengths = np.array([len(reference) for reference in references])
    found = [reached[length + rows - 2][index] for index, length in enumerate(lengths)]
    distances: Floats = (np.array(found) / (rows + lengths)).astype(np.float32)
    return distances


def voice_print(wave: Floats) -> Floats:
    """What a voice sounds like as one vector: the mean and spread of its log-mel frames, and its pitch."""
    window = np.hanning(WINDOW).astype(np.float32)
    magnitude = np.abs(np.fft.rfft(frames_around_hops(np.asarray(wave, np.float32)) * window))
    mel = np.log(magnitude @ _filters() + 1e-2)
    loud = mel.mean(1) > np.quantile(mel.mean(1), 0.3)
    pitch, voicing = track_pitch(wave)
    height = float(np.median(np.log2(pitch[voicing > 0]))) if voicing.any() else 6.5
    mel = mel[loud]
    return np.concatenate([mel.mean(0) - mel.mean(), 0.5 * mel.std(0), [4 * height]]).astype(np.float32)
