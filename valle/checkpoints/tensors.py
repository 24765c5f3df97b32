"""The tensors of a model file, read one by one, whatever kind of file it is."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from valle.checkpoints.container import Header, Stored, read_into, tensors_hash
from valle.errors import UserError

DTYPES: dict[str, torch.dtype] = {
    "BOOL": torch.bool,
    "U8": torch.uint8,
    "I8": torch.int8,
    "I16": torch.int16,
    "F16": torch.float16,
    "BF16": torch.bfloat16,
    "I32": torch.int32,
    "F32": torch.float32,
    "F64": torch.float64,
    "I64": torch.int64,
}
_NAMES = {dtype: name for name, dtype in DTYPES.items()}


@dataclass(frozen=True)
class Held:
    """Dtype, as safetensors writes it, and shape of a tensor."""

    dtype: str
    shape: tuple[int, ...]


@dataclass(frozen=True, eq=False)
class Tensors:
    """Tensors by name: what they are is known, their numbers are read when they are asked for."""

    path: Path
    stored: Mapping[str, Stored]
    read: Callable[[str], Tensor] = field(repr=False)
    """The numbers of a tensor as stored; the caller may keep them. UserError if the file ends before."""

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Names and shapes."""
        return {name: stored.shape for name, stored in self.stored.items()}

    def hash(self) -> str:
        """The content hash; see `valle.checkpoints.container.content_hash`."""
        return tensors_hash(self.stored, self.blocks)

    def blocks(self, name: str) -> Iterator[Any]:
        """The bytes of a tensor."""
        yield as_bytes(self.read(name))

    def changed(self, stored: Mapping[str, Stored], read: Callable[[str], Tensor]) -> Tensors:
        """Other tensors of the same file, made of these."""
        return Tensors(self.path, stored, read)


def from_file(path: Path, header: Header) -> Tensors:
    """The tensors of a safetensors file. Raises UserError for a dtype that torch does not have."""

    def read(name: str) -> Tensor:
        entry = header.tensors[name]
        tensor = torch.empty(entry.shape, dtype=DTYPES[entry.dtype])
        read_into(path, entry, as_bytes(tensor))
        return tensor

    for name, entry in header.tensors.items():
        if entry.dtype not in DTYPES:
            raise UserError(f"{path}: tensor {name} is {entry.dtype}, which cannot be computed with")
    return Tensors(path, header.tensors, read)


def from_memory(path: Path, tensors: Mapping[str, Tensor]) -> Tensors:
    """Tensors that are in memory already, or mapped into it. Raises UserError for an unusual dtype."""
    for name, tensor in tensors.items():
        if tensor.dtype not in _NAMES:
            raise UserError(f"{path}: tensor {name} is {tensor.dtype}, which cannot be computed with")
    stored = {name: held(tensor) for name, tensor in tensors.items()}
    return Tensors(path, stored, lambda name: tensors[name].detach().cpu().clone().contiguous())


def held(tensor: Tensor) -> Held:
    """What a file would say of a tensor."""
    return Held(_NAMES[tensor.dtype], tuple(tensor.shape))


def as_bytes(tensor: Tensor) -> memoryview:
    """The memory of a contiguous tensor on the CPU."""
    return tensor.reshape(-1).view(torch.uint8).numpy().data
