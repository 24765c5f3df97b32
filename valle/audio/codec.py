"""What a codec is to the rest of the project, and the fingerprint by which codes are tied to it."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

Codes = NDArray[np.int16]
Wave = NDArray[np.float32]


class Codec(Protocol):
    """Turns waves into codes and back. Deterministic: the same codes give the same wave.

    Codes are int16 [frames, levels], waves float32 [samples], mono, at `sample_rate`. A frame is
    `sample_rate // frame_rate` samples. Two codecs with the same `hash` understand each other's codes.
    """

    @property
    def name(self) -> str:
        """Short and stable, like `builtin-1`."""

    @property
    def hash(self) -> str:
        """Fingerprint of what makes the codes, in hexadecimal; what only makes sound of them is left out."""

    @property
    def sample_rate(self) -> int:
        """Samples a second."""

    @property
    def frame_rate(self) -> int:
        """Frames a second."""

    @property
    def levels(self) -> int:
        """How many codebooks there are."""

    @property
    def size(self) -> int:
        """How many codes each codebook has."""

    def encode(self, wave: Wave) -> Codes:
        """Codes [frames, levels] of a wave; the last frame is filled up with silence. UserError if empty."""

    def decode(self, codes: Codes) -> Wave:
        """The wave [frames * samples per frame] of codes [frames, L], the L leading ones of `levels`."""

    def decode_chunks(self, chunks: Iterable[Codes]) -> Iterator[Wave]:
        """Waves as chunks of codes arrive; together they are what `decode` makes of all codes, to 1e-4.

        Sound comes `lookahead` frames after its codes, the rest of it when the chunks end; a wave may be
        empty.
        """

    @property
    def lookahead(self) -> int:
        """How many later frames `decode_chunks` must have seen before it gives a frame's sound."""


def tensors_hash(tensors: Mapping[str, NDArray[np.generic]]) -> str:
    """sha256 over the tensors' names, dtypes, shapes and bytes, sorted by name."""
    digest = hashlib.sha256()
    for name in sorted(tensors):
        tensor = np.ascontiguousarray(tensors[name])
        digest.update(f"{name} {tensor.dtype.name} {list(tensor.shape)}\n".encode())
        digest.update(tensor.tobytes())
    return digest.hexdigest()
