"""Cutting and levelling waves: plain functions on float32 [samples]."""

from __future__ import annotations

import numpy as np

from valle.audio.wav import SAMPLE_RATE, Wave
from valle.errors import UserError

_GATE_SECONDS = 0.01


def frame_levels(wave: Wave, *, rate: int = SAMPLE_RATE, seconds: float = _GATE_SECONDS) -> Wave:
    """Root mean square of each frame of `seconds`, linear [frames]; the last frame may be shorter."""
    size = max(1, round(seconds * rate))
    starts = np.arange(0, len(wave), size)
    if not len(starts):
        return np.zeros(0, np.float32)
    energy = np.add.reduceat(wave.astype(np.float64) ** 2, starts)
    counts = np.minimum(size, len(wave) - starts)
    return np.sqrt(energy / counts).astype(np.float32)


def trim_silence(
    wave: Wave, *, rate: int = SAMPLE_RATE, threshold_db: float = -40.0, keep_seconds: float = 0.05
) -> Wave:
    """The wave without the silence at both ends, of which `keep_seconds` stay.

    Silent is a 10 ms frame that lies `threshold_db` below the loudest frame. A silent wave comes back empty.
    """
    levels = frame_levels(wave, rate=rate)
    loudest = float(levels.max(initial=0.0))
    if loudest <= 0.0:
        return wave[:0]
    loud = np.flatnonzero(levels >= loudest * 10 ** (threshold_db / 20))
    size = max(1, round(_GATE_SECONDS * rate))
    margin = round(keep_seconds * rate)
    return wave[max(0, int(loud[0]) * size - margin) : (int(loud[-1]) + 1) * size + margin]


def loudness(wave: Wave) -> float:
    """Root mean square level in dB of full scale; -inf for a silent or empty wave."""
    power = float(np.mean(wave.astype(np.float64) ** 2)) if len(wave) else 0.0
    return 10.0 * float(np.log10(power)) if power > 0.0 else float("-inf")


def normalize(wave: Wave, *, level_db: float = -23.0, peak: float = 0.95) -> Wave:
    """The wave at an RMS level of `level_db`, or as near as its highest sample may come to `peak`."""
    level = loudness(wave)
    if level == float("-inf"):
        return wave
    gain = min(10 ** ((level_db - level) / 20), peak / float(np.abs(wave).max()))
    return (wave * np.float32(gain)).astype(np.float32, copy=False)


def window(wave: Wave, start: float, seconds: float, *, rate: int = SAMPLE_RATE) -> Wave:
    """The part that begins at `start` and lasts `seconds`, or until the end; UserError if that is nothing."""
    length = len(wave) / rate
    if not (0.0 <= start < length and seconds > 0.0):
        raise UserError(
            f"the part {start:g}+{seconds:g} s lies outside the recording, which has {length:.2f} s"
        )
    first = round(start * rate)
    return wave[first : first + max(1, round(seconds * rate))]
