"""Recordings in and waves out: any common sound file to mono 24 kHz float32, and back to a file."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from valle.audio.riff import SampleFormat, missing_share, wav_bytes
from valle.errors import UserError
from valle.files import write_atomically

SAMPLE_RATE = 24_000
"""Samples per second of every wave here unless said otherwise."""

MAX_SECONDS = 3600.0
"""Longer files are refused: they are not voice recordings, and would fill the memory."""

SILENT_PEAK = 1e-4
"""A wave whose highest sample is below this (-80 dB) holds no sound."""

Wave = npt.NDArray[np.float32]


def read(path: Path | str, *, rate: int = SAMPLE_RATE, silent_ok: bool = False) -> Wave:
    """A sound file (wav, flac, ogg, mp3, ...) as mono float32 [samples] at `rate` Hz.

    Channels are averaged. Raises UserError, naming the file, if it is missing, empty, damaged, over an hour
    long or, unless `silent_ok`, silent.
    """
    channels, file_rate = _read_channels(Path(path))
    if not len(channels):
        raise UserError(f"{path} holds no samples; give a recording with speech in it")
    if not np.isfinite(channels).all():
        raise UserError(f"{path} is damaged: it has samples that are not numbers")
    wave = resample(channels.mean(axis=1, dtype=np.float32), file_rate, rate)
    if not silent_ok and is_silent(wave):
        raise UserError(f"{path} is silent; give a recording with speech in it")
    return wave


def write(
    path: Path | str,
    wave: Wave,
    *,
    rate: int = SAMPLE_RATE,
    sample_format: SampleFormat = "int16",
    text: str | None = None,
) -> Path:
    """Write a mono wave [samples] as .wav, .flac or .ogg by the name's ending, whole or not at all.

    A wav may carry a `text` (the lab's session) in a chunk of its own. Raises UserError, naming the file.
    """
    path = Path(path)
    ending = path.suffix.lower()
    wave = np.asarray(wave, dtype=np.float32)
    if ending == ".wav":
        return write_atomically(path, wav_bytes(wave, rate, sample_format, text))
    if ending not in (".flac", ".ogg") or text is not None:
        raise UserError(
            f"{path}: the name must end in .wav" + ("" if text is not None else ", .flac or .ogg")
        )
    import soundfile

    buffer = io.BytesIO()
    soundfile.write(buffer, np.clip(wave, -1.0, 1.0), rate, format=ending[1:].upper())
    return write_atomically(path, buffer.getvalue())


def resample(wave: Wave, from_rate: int, to_rate: int) -> Wave:
    """The wave [samples] at another rate in Hz by soxr; the same array if the rates are equal."""
    if from_rate == to_rate:
        return wave
    import soxr

    resampled: Wave = soxr.resample(wave, from_rate, to_rate, quality="HQ").astype(np.float32, copy=False)
    return resampled


def silence(count: int) -> Wave:
    """A wave of `count` samples without sound."""
    return np.zeros(count, np.float32)


def is_silent(wave: Wave) -> bool:
    """Whether no sample reaches -80 dB of full scale."""
    return not len(wave) or float(np.abs(wave).max()) < SILENT_PEAK


def duration(path: Path | str) -> float:
    """Length of a sound file in seconds, from its header; UserError as for `read`."""
    with _opened(Path(path)) as file:
        return float(file.frames / file.samplerate)


def cut_short(path: Path | str) -> str | None:
    """One line on a wav file that ends before its header says it does, and is used as far as it goes.

    UserError as for `read`.
    """
    missing = missing_share(path)
    if not 0.0 < missing < 1.0:  # reading tells of a file without any sound
        return None
    there = duration(path)
    return f"{path} is cut short: {there:.2f} s of {there / (1.0 - missing):.2f} s are there, and are used"


def _read_channels(path: Path) -> tuple[Wave, int]:
    """Samples [frames, channels] and rate of a file, unchanged."""
    with _opened(path) as file:
        if file.frames > MAX_SECONDS * file.samplerate:
            raise UserError(f"{path} is longer than {MAX_SECONDS / 60:.0f} minutes; cut the part to use")
        channels: Wave = file.read(dtype="float32", always_2d=True)
        return channels, int(file.samplerate)


@contextmanager
def _opened(path: Path) -> Iterator[Any]:
    """The file as soundfile opens it, whatever goes wrong with it told as a UserError."""
    import soundfile

    if not path.is_file():
        raise UserError(f"{path} is {'not a file' if path.exists() else 'not there'}; give a sound file")
    try:
        if not path.stat().st_size:
            raise UserError(f"{path} is empty; give a recording with speech in it")
        with soundfile.SoundFile(path) as file:
            yield file
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror or error}") from error
    except (soundfile.LibsndfileError, RuntimeError, ValueError, TypeError) as error:
        raise UserError(f"{path} is not a sound file that can be read, or is damaged") from error
