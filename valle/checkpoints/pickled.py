"""Files that torch pickles (`.pth`, `.pt`): tensors and plain values, and nothing that could run."""

from __future__ import annotations

import pathlib
import re
import warnings
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from valle.checkpoints.tensors import Tensors, from_memory
from valle.errors import UserError

_PLAIN: list[Any] = [pathlib.PosixPath, pathlib.PurePosixPath]  # the reference's configurations hold paths
_FOREIGN = re.compile(r"(?:GLOBAL|function|class|type) ([\w.]+)")


@dataclass(frozen=True, eq=False)
class Pickled:
    """The tensors of a file and what it says beside them."""

    tensors: Tensors
    metadata: Mapping[str, Any]


def read(path: Path) -> Pickled:
    """Read a file of tensors and plain values.

    Raises UserError for a file that cannot be read, that holds code (which is not run), and that has no
    tensors where the reference puts them: under `module`, or at the top.
    """
    content = load_plain(path)
    module = content.get("module", content) if isinstance(content, Mapping) else None
    if not isinstance(module, Mapping) or not module:
        raise UserError(f"{path}: holds no tensors under the key module")
    tensors = {str(name): tensor for name, tensor in module.items()}
    strange = next((name for name, tensor in tensors.items() if not isinstance(tensor, Tensor)), None)
    if strange is not None:
        raise UserError(f"{path}: {strange} is no tensor; a checkpoint has its tensors under the key module")
    metadata = {} if module is content else {key: value for key, value in content.items() if key != "module"}
    return Pickled(from_memory(path, tensors), metadata)


def load_plain(path: Path) -> Any:
    """What torch saved, if it is tensors and plain values only; UserError for anything else."""
    try:
        path.open("rb").close()
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {error.strerror or error}") from error
    try:
        mapped = zipfile.is_zipfile(path)
        with torch.serialization.safe_globals(_PLAIN), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # on how the file was pickled, which is not the reader's doing
            return torch.load(path, map_location="cpu", weights_only=True, mmap=mapped)
    # Bytes that are no pickle can make an unpickler fail in any way; none of it is the program's own fault.
    except Exception as error:
        if "weights" in str(error).lower() and (found := _FOREIGN.search(str(error))):
            raise UserError(
                f"{path}: holds code or objects ({found[1]}), and is refused; nothing of it was run"
            ) from error
        raise UserError(f"{path}: is cut short, damaged, or no file that torch saved") from error
