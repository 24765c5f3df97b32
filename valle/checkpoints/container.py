"""The safetensors container, read and written by hand, and the hash of what it holds; needs no torch."""

from __future__ import annotations

import hashlib
import json
import math
import struct
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from valle.errors import UserError
from valle.files import replacing

_LARGEST_HEADER = 100_000_000  # the limit of the safetensors library
_BYTES = {  # in the order in which the library sorts them, the last first
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
    _require_whole(path, tensors, 8 + length, size)
    return Header(tensors, metadata)


class Stored(Protocol):
    """A tensor as a file holds it: dtype as safetensors writes it, and its shape."""

    @property
    def dtype(self) -> str: ...

    @property
    def shape(self) -> tuple[int, ...]: ...


def content_hash(path: Path, header: Header) -> str:
    """Return the sha256 over all tensors by name: name, dtype, shape, and the bytes as stored.

    Metadata, and the order of tensors in the file, do not count.
    """
    return tensors_hash(header.tensors, lambda name: read_blocks(path, header.tensors[name]))


def tensors_hash(tensors: Mapping[str, Stored], read: Callable[[str], Iterable[Any]]) -> str:
    """The `content_hash` of tensors whose bytes `read` gives, in pieces."""
    digest = hashlib.sha256()
    for name, stored in sorted(tensors.items()):
        digest.update(f"{name} {stored.dtype} {list(stored.shape)}\n".encode())
        for block in read(name):
            digest.update(block)
    return digest.hexdigest()


def read_blocks(path: Path, entry: TensorEntry) -> Iterator[bytes]:
    """The bytes of one tensor in pieces; UserError if the file ends before."""
    with path.open("rb") as file:
        file.seek(entry.begin)
        left = entry.end - entry.begin
        while left:
            block = file.read(min(left, 1 << 22))
            if not block:
                raise _broken(path, "it is cut short")
            yield block
            left -= len(block)


def read_into(path: Path, entry: TensorEntry, target: memoryview) -> None:
    """Fill `target`, which is as large as the tensor, with its bytes; UserError if the file ends before."""
    with path.open("rb", buffering=0) as file:
        file.seek(entry.begin)
        done = 0
        while done < len(target):
            count = file.readinto(target[done:])
            if not count:
                raise _broken(path, "it is cut short")
            done += count


def write(
    path: Path,
    tensors: Mapping[str, Stored],
    read: Callable[[str], Iterable[Any]],
    metadata: Mapping[str, str],
) -> None:
    """Write a safetensors file, whole or not at all, byte for byte as the library does.

    The library writes several metadata keys in random order; here they keep theirs. `read` gives the bytes of
    a tensor in pieces. Raises UserError where the file cannot be written.
    """
    order = sorted(tensors, key=lambda name: (-list(_BYTES).index(tensors[name].dtype), name))
    header: dict[str, Any] = {"__metadata__": dict(metadata)} if metadata else {}
    end = 0
    for name in order:
        stored = tensors[name]
        begin, end = end, end + math.prod(stored.shape) * _BYTES[stored.dtype]
        header[name] = {"dtype": stored.dtype, "shape": list(stored.shape), "data_offsets": [begin, end]}
    text = json.dumps(header, ensure_ascii=False, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    with replacing(path) as file:
        file.write(struct.pack("<Q", len(text)) + text)
        for name in order:
            for block in read(name):
                file.write(block)


def _require_whole(path: Path, tensors: Mapping[str, TensorEntry], begin: int, size: int) -> None:
    """Raise UserError unless the tensors lie one behind the other from `begin` to the end of the file.

    A header that has two tensors share bytes, or leaves some out, is not what it seems.
    """
    end = begin
    for name, entry in sorted(tensors.items(), key=lambda item: (item[1].begin, item[1].end)):
        if entry.end > size:
            raise _broken(path, "it is cut short")
        if entry.begin != end:
            raise _broken(path, f"tensor {name} does not begin where the one before it ends")
        end = entry.end
    if end != size:
        raise _broken(path, f"{size - end} bytes at its end belong to no tensor")


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
