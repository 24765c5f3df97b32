"""Frames on a pipe: four bytes of length (big-endian, of the header), a JSON header, then the arrays' bytes.

The header is `{kind, request, take, body, arrays}`; `arrays` lists name, dtype and shape, in the order of the
bytes.
"""

from __future__ import annotations

import json
import math
import struct
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, BinaryIO, NoReturn

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]

HEADER_LIMIT = 1 << 24
ARRAYS_LIMIT = 1 << 30
DIMENSIONS_LIMIT = 8
DTYPES = frozenset({"|b1", "|i1", "|u1", "<i2", "<u2", "<i4", "<u4", "<i8", "<u8", "<f2", "<f4", "<f8"})


class BrokenStreamError(Exception):
    """The bytes on the pipe are no frames, or ended inside one."""


@dataclass(frozen=True, slots=True)
class Frame:
    """One message between the lab and its worker."""

    kind: str
    request: int = 0
    """The number that the lab gave the request which this frame makes or answers."""
    take: str = ""
    body: Mapping[str, Any] = field(default_factory=dict)
    """Plain JSON values."""
    arrays: Mapping[str, Array] = field(default_factory=dict)


def encode(frame: Frame) -> bytes:
    """The bytes of a frame.

    Raises:
        ValueError: a value of the body is no JSON, an array holds something else than numbers and truth
            values, or the frame is larger than a reader accepts.
    """
    arrays = {name: _little_endian(name, array) for name, array in frame.arrays.items()}
    header = json.dumps(
        {
            "kind": frame.kind,
            "request": frame.request,
            "take": frame.take,
            "body": frame.body,
            "arrays": [[name, array.dtype.str, array.shape] for name, array in arrays.items()],
        },
        allow_nan=False,
        separators=(",", ":"),
    ).encode()
    if len(header) > HEADER_LIMIT or sum(array.nbytes for array in arrays.values()) > ARRAYS_LIMIT:
        raise ValueError(f"A frame of kind {frame.kind} is too large to be sent.")
    return b"".join((struct.pack(">I", len(header)), header, *(array.tobytes() for array in arrays.values())))


def read_frame(stream: BinaryIO) -> Frame | None:
    """The next frame of a buffered stream, or None where the stream ends between two frames.

    Raises:
        BrokenStreamError: the stream ended inside a frame, or holds something else than frames.
    """
    start = stream.read(4)
    if not start:
        return None
    if len(start) < 4:
        _break("it ended inside a frame")
    (length,) = struct.unpack(">I", start)
    if length > HEADER_LIMIT:
        _break(f"a header of {length} bytes was announced")
    header = _header(_read_exactly(stream, length))
    shapes = [_array_entry(entry) for entry in header["arrays"]]
    if sum(dtype.itemsize * math.prod(shape) for _, dtype, shape in shapes) > ARRAYS_LIMIT:
        _break("arrays of more than 1 GB were announced")
    arrays = {
        name: np.frombuffer(_read_exactly(stream, dtype.itemsize * math.prod(shape)), dtype).reshape(shape)
        for name, dtype, shape in shapes
    }
    return Frame(header["kind"], header["request"], header["take"], header["body"], arrays)


def _header(data: bytes) -> dict[str, Any]:
    try:
        header = json.loads(data)
    except ValueError:
        _break("a header is no JSON")
    expected: dict[str, type] = {"kind": str, "request": int, "take": str, "body": dict, "arrays": list}
    if not isinstance(header, dict) or any(not isinstance(header.get(k), t) for k, t in expected.items()):
        _break("a header lacks one of " + ", ".join(expected))
    return header


def _array_entry(entry: object) -> tuple[str, np.dtype[Any], tuple[int, ...]]:
    match entry:
        case [str(name), str(dtype), [*lengths]] if dtype in DTYPES and len(lengths) <= DIMENSIONS_LIMIT:
            shape = tuple(n for n in lengths if isinstance(n, int) and 0 <= n <= ARRAYS_LIMIT)
            if len(shape) == len(lengths):
                return name, np.dtype(dtype), shape
    _break("an array is described wrongly")


def _little_endian(name: str, array: Array) -> Array:
    plain = np.ascontiguousarray(array).reshape(array.shape)
    plain = plain.astype(plain.dtype.newbyteorder("<"), copy=False)
    if plain.dtype.str not in DTYPES:
        raise ValueError(f"The array {name} of type {array.dtype} cannot be sent.")
    return plain


def _read_exactly(stream: BinaryIO, count: int) -> bytes:
    data = stream.read(count)
    if len(data) < count:
        _break("it ended inside a frame")
    return data


def _break(what: str) -> NoReturn:
    raise BrokenStreamError(f"The stream between the lab and the model process is broken: {what}.")
