"""WAV files as bytes: the header, and one chunk of text that players skip and the lab reads."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Literal

import numpy as np
import numpy.typing as npt

from valle.errors import UserError
from valle.files import write_atomically

TEXT_CHUNK = b"vall"
"""The chunk that carries a session's JSON."""

MAX_TEXT_BYTES = 256 * 1024 * 1024

SampleFormat = Literal["int16", "float32"]

_PCM, _IEEE_FLOAT = 1, 3
_HEADER = 12
_UNKNOWN_SIZE = 0x7FFF_F000
"""What is written for a size from here on when the length was not known, as into a pipe."""


@dataclass(frozen=True, slots=True)
class _Chunk:
    """Where a chunk's body begins, the bytes that its header promises, and those that are there."""

    name: bytes
    start: int
    promised: int
    size: int


def wav_bytes(
    wave: npt.NDArray[np.float32], rate: int, sample_format: SampleFormat = "int16", text: str | None = None
) -> bytes:
    """A mono WAV file of float samples [samples] at `rate` Hz, with an optional text in its own chunk.

    Samples beyond full scale are clipped in int16 and kept in float32. The same input gives the same bytes
    (libsndfile would write the time of day into float files). Raises UserError above the format's 4 GiB.
    """
    if sample_format == "int16":
        samples = np.clip(np.rint(wave.astype(np.float64) * 32768.0), -32768, 32767).astype("<i2")
        tag = _PCM
    else:
        samples = wave.astype("<f4")
        tag = _IEEE_FLOAT
    width = samples.itemsize
    layout = struct.pack("<HHIIHH", tag, 1, rate, rate * width, width, 8 * width)
    if tag == _PCM:
        chunks = [_chunk(b"fmt ", layout)]
    else:
        chunks = [_chunk(b"fmt ", layout + b"\0\0"), _chunk(b"fact", struct.pack("<I", len(samples)))]
    chunks.append(_chunk(b"data", samples.tobytes()))
    if text is not None:
        chunks.append(_chunk(TEXT_CHUNK, text.encode()))
    return _riff(b"".join(chunks))


def read_text(path: Path | str) -> str | None:
    """The text that a WAV file carries, or None if it carries none.

    Raises UserError, naming the file, if it is missing, no WAV file, or its text is damaged.
    """
    path = Path(path)
    try:
        with _reading(path) as file:
            for chunk in _chunks(file, path):
                if chunk.name == TEXT_CHUNK:
                    return _read_body(file, path, chunk).decode()
    except UnicodeDecodeError as error:
        raise UserError(f"{path}: the text that this wav file carries is damaged") from error
    return None


def missing_share(path: Path | str) -> float:
    """The share of its sound that a WAV file lacks at its end, by its own header; 0.0 for any other file.

    Raises UserError, naming the file, if it cannot be read.
    """
    path = Path(path)
    with _reading(path) as file:
        if not _is_wav(file.read(_HEADER)):
            return 0.0
        file.seek(0)
        data = next((chunk for chunk in _chunks(file, path) if chunk.name == b"data"), None)
    if data is None or not 0 < data.promised < _UNKNOWN_SIZE:
        return 0.0
    return 1.0 - data.size / data.promised


def write_text(path: Path | str, text: str) -> None:
    """Put a text into an existing WAV file, in place of one that is there; the sound is not touched.

    Raises UserError, naming the file, if it is missing, no WAV file, or cannot be written.
    """
    path = Path(path)
    with _reading(path) as file:
        kept = [
            _chunk(chunk.name, _read_body(file, path, chunk))
            for chunk in _chunks(file, path)
            if chunk.name != TEXT_CHUNK
        ]
    write_atomically(path, _riff(b"".join([*kept, _chunk(TEXT_CHUNK, text.encode())])))


def _chunk(name: bytes, body: bytes) -> bytes:
    if len(body) >= 2**32 - 64:
        raise UserError(f"a wav file holds at most 4 GiB; this one would have {len(body)} bytes")
    return name + struct.pack("<I", len(body)) + body + b"\0" * (len(body) % 2)


def _riff(chunks: bytes) -> bytes:
    return _chunk(b"RIFF", b"WAVE" + chunks)


@contextmanager
def _reading(path: Path) -> Iterator[BinaryIO]:
    """The file, open to be read; UserError where it cannot be."""
    try:
        with path.open("rb") as file:
            yield file
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror or error}") from error


def _is_wav(header: bytes) -> bool:
    return len(header) == _HEADER and header[:4] == b"RIFF" and header[8:] == b"WAVE"


def _chunks(file: BinaryIO, path: Path) -> Iterator[_Chunk]:
    """The chunks in order; UserError for a file that is no WAV file."""
    if not _is_wav(file.read(_HEADER)):
        raise UserError(f"{path} is not a wav file")
    end = file.seek(0, 2)
    place = _HEADER
    while place + 8 <= end:
        file.seek(place)
        name, promised = struct.unpack("<4sI", file.read(8))
        size = min(promised, end - place - 8)
        yield _Chunk(name, place + 8, promised, size)
        place += 8 + size + size % 2


def _read_body(file: BinaryIO, path: Path, chunk: _Chunk) -> bytes:
    if chunk.size > MAX_TEXT_BYTES:
        raise UserError(
            f"{path}: a chunk of {chunk.size} bytes is more than the {MAX_TEXT_BYTES} that are read"
        )
    file.seek(chunk.start)
    return file.read(chunk.size)
