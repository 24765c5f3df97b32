"""The safetensors container, read by hand where no tensor is needed, and the hash of what it holds."""

from __future__ import annotations

import hashlib
import json
import math
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from valle.errors import UserError

_LARGEST_HEADER = 100_000_000  # the limit of the safetensors library
_BYTES = {
    "BOOL": 1,
    "U8": 1,
    "I8": 1,
    "I16": 2,
    "U16": 2,
    "F16": 2,
    "BF16": 2,
    "I32": 4,
    "U32": 4,
    "F32": 4,
    "F64": 8,
    "I64": 8,
    "U64": 8,
}


@dataclass(frozen=True)
class TensorEntry:
    """Where a tensor lies: dtype as safetensors writes it, `begin` and `end` in bytes of the file."""

    dtype: str
    shape: tuple[int, ...]
    begin: int
    end: int


@dataclass(frozen=True)
class Header:
    """What a safetensors file says about itself."""

    tensors: dict[str, TensorEntry]
    metadata: dict[str, str]


def read_header(path: Path) -> Header:
    """Read and check the header of a safetensors file without reading a tensor.

    Raises UserError naming the file if it cannot be read, is cut short or contradicts itself.
    """
    try:
        size = path.stat().st_size
        with path.open("rb") as file:
            start = file.read(8)
            length = struct.unpack("<Q", start)[0] if len(start) == 8 else _LARGEST_HEADER + 1
            if length > min(_LARGEST_HEADER, size - 8):
                raise _broken(path, "it is cut short or no safetensors file")
            text = file.read(length)
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {error.strerror or error}") from error
    try:
        header = json.loads(text)
        metadata = header.pop("__metadata__", {})
        tensors = {name: _entry(path, name, entry, 8 + length) for name, entry in header.items()}
    except (ValueError, TypeError, AttributeError, RecursionError) as error:
        raise _broken(path, "its header is not what safetensors writes") from error
    if not isinstance(metadata, dict) or not all(isinstance(value, str) for value in metadata.values()):
        raise _broken(path, "its metadata is not text")
    if any(entry.end > size for entry in tensors.values()):
        raise _broken(path, "it is cut short")
    return Header(tensors, metadata)


def content_hash(path: Path, header: Header) -> str:
    """Return the sha256 over all tensors by name: name, dtype, shape, and the bytes as stored.

    Metadata, and the order of tensors in the file, do not count.
    """
    digest = hashlib.sha256()
    with path.open("rb") as file:
        for name, entry in sorted(header.tensors.items()):
            digest.update(f"{name} {entry.dtype} {list(entry.shape)}\n".encode())
            file.seek(entry.begin)
            left = entry.end - entry.begin
            while left:
                block = file.read(min(left, 1 << 22))
                if not block:
                    raise _broken(path, "it is cut short")
                digest.update(block)
                left -= len(block)
    return digest.hexdigest()


def _entry(path: Path, name: str, entry: Any, offset: int) -> TensorEntry:
    try:
        dtype, shape, (begin, end) = entry["dtype"], tuple(entry["shape"]), entry["data_offsets"]
        whole = all(type(number) is int and number >= 0 for number in (*shape, begin, end))
        fits = whole and end - begin == math.prod(shape) * _BYTES[dtype]
    except (KeyError, TypeError, ValueError) as error:
        raise _broken(path, f"the entry of tensor {name} makes no sense") from error
    if not fits:
        raise _broken(path, f"tensor {name} is not as large as its shape says")
    return TensorEntry(dtype, shape, offset + begin, offset + end)


def _broken(path: Path, reason: str) -> UserError:
    return UserError(f"{path}: cannot be used, {reason}; fetch or export it again")
