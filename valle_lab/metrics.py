"""What can be told about a take from its codes, its phonemes and its sound alone, in milliseconds.

The failures they show: an early stop or a run-on (frames per phoneme), loops (repetition), a silence that the
model does not leave (longest inner silence), monotone or wild prosody (pitch), and damaged sound (clipping).
"""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from valle.audio.builtin.pitch import track_pitch
from valle.audio.edit import frame_levels, loudness
from valle.audio.wav import SAMPLE_RATE, Wave
from valle.request import FRAME_RATE, Codes

SILENCE_DB = -40.0
"""A frame this far below the take's loudest one is silent."""

_GATE_SECONDS = 0.01


@dataclass(frozen=True, slots=True)
class Repetition:
    """How much level 0 repeats itself."""

    longest_run: int
    """Frames of one code in a row."""
    distinct: float
    """Different codes among all frames, 0 to 1."""
    repeated: float
    """Share of the runs of three frames that were there before within the last second, 0 to 1."""


@dataclass(frozen=True, slots=True)
class Silence:
    """Where there is no sound, in seconds but for the ratio."""

    ratio: float
    leading: float
    trailing: float
    longest_inner: float


@dataclass(frozen=True, slots=True)
class Pitch:
    """The fundamental over the voiced frames, in Hz and semitones; zeros where nothing is voiced."""

    voiced_ratio: float
    median: float
    lowest: float
    """5th percentile."""
    highest: float
    """95th percentile."""
    deviation: float
    """Standard deviation in semitones: below 1 is monotone."""


@dataclass(frozen=True, slots=True)
class Metrics:
    """All measures of one take or segment."""

    stop: str
    frames: int
    seconds: float
    phonemes: int
    frames_per_phoneme: float
    """0 where there are no phonemes; speech has about 4 to 9 at 75 frames a second."""
    repetition: Repetition
    silence: Silence
    pitch: Pitch
    loudness: float
    """RMS in dB of full scale."""
    clipped: float
    """Share of samples at full scale, 0 to 1."""


def measure(codes: Codes, wave: Wave, phonemes: str, stop: str) -> Metrics:
    """All measures of codes [frames, levels], their wave [samples] at 24 kHz, phonemes and stop reason."""
    sounds = phoneme_count(phonemes)
    return Metrics(
        stop=stop,
        frames=len(codes),
        seconds=len(codes) / FRAME_RATE,
        phonemes=sounds,
        frames_per_phoneme=len(codes) / sounds if sounds else 0.0,
        repetition=repetition(codes[:, 0]),
        silence=silence(wave),
        pitch=pitch(wave),
        loudness=loudness(wave),
        clipped=float(np.mean(np.abs(wave) >= 32767 / 32768)) if len(wave) else 0.0,
    )


def phoneme_count(phonemes: str) -> int:
    """The phoneme letters in a string; stress, length, other marks and punctuation are not counted."""
    return sum(unicodedata.category(character) in ("Ll", "Lo", "Lu") for character in phonemes)


def repetition(level: NDArray[np.int16]) -> Repetition:
    """How much the codes [frames] of one level repeat themselves."""
    if not len(level):
        return Repetition(0, 0.0, 0.0)
    changes = np.flatnonzero(np.diff(level))
    runs = np.diff(np.concatenate([[-1], changes, [len(level) - 1]]))
    return Repetition(
        longest_run=int(runs.max()),
        distinct=len(np.unique(level)) / len(level),
        repeated=_repeated(level.tolist(), size=3, window=FRAME_RATE),
    )


def silence(wave: Wave, *, rate: int = SAMPLE_RATE, threshold_db: float = SILENCE_DB) -> Silence:
    """Silent parts of a wave: 10 ms frames `threshold_db` below the loudest; a silent wave is all leading."""
    levels = frame_levels(wave, rate=rate, seconds=_GATE_SECONDS)
    loudest = float(levels.max(initial=0.0))
    loud = np.flatnonzero(levels >= loudest * 10 ** (threshold_db / 20)) if loudest else np.zeros(0, int)
    if not len(loud):
        return Silence(1.0, len(wave) / rate, 0.0, 0.0)
    return Silence(
        ratio=1.0 - len(loud) / len(levels),
        leading=float(loud[0]) * _GATE_SECONDS,
        trailing=float(len(levels) - 1 - loud[-1]) * _GATE_SECONDS,
        longest_inner=float(np.diff(loud).max(initial=1) - 1) * _GATE_SECONDS,
    )


def pitch(wave: Wave) -> Pitch:
    """Statistics of the fundamental of a wave at 24 kHz."""
    frequency, voicing = track_pitch(wave)
    voiced = frequency[voicing > 0.5]
    if not len(voiced):
        return Pitch(0.0, 0.0, 0.0, 0.0, 0.0)
    lowest, median, highest = np.percentile(voiced, [5, 50, 95])
    return Pitch(
        voiced_ratio=len(voiced) / len(frequency),
        median=float(median),
        lowest=float(lowest),
        highest=float(highest),
        deviation=float(np.std(12 * np.log2(voiced))),
    )


def _repeated(codes: list[int], *, size: int, window: int) -> float:
    """Share of the n-grams of `size` codes that occurred, not overlapping, in the `window` frames before."""
    last_seen: dict[tuple[int, ...], int] = {}
    repeats = 0
    count = len(codes) - size + 1
    for place in range(count):
        earlier = place - size
        if earlier >= 0:
            last_seen[tuple(codes[earlier : earlier + size])] = earlier
        seen = last_seen.get(tuple(codes[place : place + size]))
        repeats += seen is not None and place - seen <= window
    return repeats / count if count > 0 else 0.0
