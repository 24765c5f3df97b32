"""How loud a wave is to an ear, and waves made equally loud: ITU-R BS.1770-4, for one channel.

The weighting is a high shelf and a high pass, given by the recommendation at 48 kHz; for other rates their
analogue prototypes are used, as libebur128 and others derived them from the tabulated coefficients.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from valle.audio.wav import SAMPLE_RATE, Wave

SHELF = (1681.974450955533, 0.7071752369554196, 3.999843853973347)
"""Frequency in Hz, quality, and gain in dB of the first filter."""
PASS = (38.13547087602444, 0.5003270373238773)
"""Frequency in Hz and quality of the second filter."""
BLOCK_SECONDS, BLOCKS_OVERLAP = 0.4, 4
"""A block begins every quarter of its length."""
ABSOLUTE_GATE, RELATIVE_GATE = -70.0, -10.0
"""LUFS, and LU below the mean of the blocks above the first gate."""
OFFSET = -0.691
TAIL_SECONDS = 0.5
"""Until the filters have died away."""
SILENT = float("-inf")

Coefficients = tuple[NDArray[np.float64], NDArray[np.float64]]


def weighting(rate: int = SAMPLE_RATE) -> tuple[Coefficients, Coefficients]:
    """Coefficients (of the input, of the output) of both filters at this rate, by the bilinear transform."""
    frequency, quality, gain = SHELF
    tangent = math.tan(math.pi * frequency / rate)
    high = 10 ** (gain / 20)
    band = high**0.4996667741545416
    scale = 1 + tangent / quality + tangent**2
    shelf = (
        np.array(
            [
                high + band * tangent / quality + tangent**2,
                2 * (tangent**2 - high),
                high - band * tangent / quality + tangent**2,
            ]
        )
        / scale,
        np.array([1.0, 2 * (tangent**2 - 1) / scale, (1 - tangent / quality + tangent**2) / scale]),
    )
    frequency, quality = PASS
    tangent = math.tan(math.pi * frequency / rate)
    scale = 1 + tangent / quality + tangent**2
    high_pass = (
        np.array([1.0, -2.0, 1.0]),
        np.array([1.0, 2 * (tangent**2 - 1) / scale, (1 - tangent / quality + tangent**2) / scale]),
    )
    return shelf, high_pass


def gated_loudness(wave: Wave, rate: int = SAMPLE_RATE) -> float:
    """Integrated loudness of a wave [samples] in LUFS; -inf where nothing of it is above -70 LUFS.

    A wave shorter than a block of 0.4 s is one block.
    """
    power = _block_powers(_weighted(wave, rate), rate)
    for gate in (ABSOLUTE_GATE, None):
        if gate is None:
            gate = OFFSET + 10 * math.log10(power.mean()) + RELATIVE_GATE
        power = power[power > 10 ** ((gate - OFFSET) / 10)]
        if not len(power):
            return SILENT
    return OFFSET + 10 * math.log10(power.mean())


def equally_loud(waves: Sequence[Wave], rate: int = SAMPLE_RATE) -> list[Wave]:
    """The waves at the loudness of the quietest of them, so that none is made louder and nothing clips.

    Silent ones stay as they are.
    """
    levels = [gated_loudness(wave, rate) for wave in waves]
    target = min((level for level in levels if level > SILENT), default=0.0)
    return [
        wave if level == SILENT else (wave * np.float32(10 ** ((target - level) / 20))).astype(np.float32)
        for wave, level in zip(waves, levels, strict=True)
    ]


def _weighted(wave: Wave, rate: int) -> NDArray[np.float64]:
    """The wave through both filters, by their frequency response."""
    size = 1 << (len(wave) + round(TAIL_SECONDS * rate)).bit_length()
    delay = np.exp(-2j * np.pi * np.arange(size // 2 + 1) / size)
    response = np.ones(len(delay), complex)
    for incoming, outgoing in weighting(rate):
        response *= np.polyval(incoming[::-1], delay) / np.polyval(outgoing[::-1], delay)
    return np.fft.irfft(np.fft.rfft(wave.astype(np.float64), size) * response, size)[: len(wave)]


def _block_powers(weighted: NDArray[np.float64], rate: int) -> NDArray[np.float64]:
    """Mean squares of the overlapping blocks; an incomplete one at the end is left out."""
    size = round(BLOCK_SECONDS * rate)
    if len(weighted) < size:
        return np.array([np.mean(weighted**2)]) if len(weighted) else np.zeros(0)
    blocks = np.lib.stride_tricks.sliding_window_view(weighted, size)[:: size // BLOCKS_OVERLAP]
    return np.asarray(np.mean(blocks**2, axis=1))
