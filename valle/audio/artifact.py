"""Codes that were stored as numpy does: plain arrays, and the reference's `.enc` and `.dac` files.

The reference writes a pickled dict, `{"codes": [1, levels, frames], "metadata": {...}}`. Unpickling runs
whatever a file says, so only what arrays are made of is let through.
"""

from __future__ import annotations

import io
import pickle
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from valle.errors import UserError

ENDINGS = (".npy", ".enc", ".dac")
LEVELS, IDS = 8, 1024
_ALLOWED = {
    ("numpy", "dtype"),
    ("numpy", "ndarray"),
    *(
        (f"numpy.{core}.multiarray", name)
        for core in ("core", "_core")
        for name in ("_reconstruct", "scalar")
    ),
    *((f"numpy.{core}.numeric", "_frombuffer") for core in ("core", "_core")),
}


class _OnlyArrays(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        if (module, name) in _ALLOWED:
            return super().find_class(module, name)
        raise pickle.UnpicklingError(f"it asks for {module}.{name}, which no codes need")


def read_codes(path: Path) -> NDArray[np.int16]:
    """The codes [frames, levels] of a file. Raises UserError for a file that holds none, running nothing."""
    try:
        value = _read(path)
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror or error}") from error
    except (ValueError, EOFError, KeyError, IndexError, TypeError, AttributeError, ImportError) as error:
        raise UserError(f"{path} is not a file of codes: {error}") from error
    except pickle.UnpicklingError as error:
        raise UserError(f"{path} is refused: {error}") from error
    return _as_codes(value, path)


def _read(path: Path) -> Any:
    with path.open("rb") as file:
        version = np.lib.format.read_magic(file)
        reader = (
            np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        )
        shape, _, dtype = reader(file)
        if not dtype.hasobject:
            file.seek(0)
            return np.load(file, allow_pickle=False)
        stored = _OnlyArrays(io.BytesIO(file.read())).load()
    return stored.item() if isinstance(stored, np.ndarray) and shape == () else stored


def _as_codes(value: Any, path: Path) -> NDArray[np.int16]:
    if isinstance(value, dict):
        value = value.get("codes")
    if not isinstance(value, np.ndarray) or value.dtype.kind not in "iu":
        raise UserError(f"{path} holds no codes; they are an array of whole numbers")
    codes = value[0] if value.ndim == 3 and len(value) == 1 else value
    if codes.ndim == 2 and codes.shape[1] > LEVELS >= codes.shape[0]:
        codes = codes.T
    if codes.ndim != 2 or not codes.size or codes.shape[1] > LEVELS:
        raise UserError(f"{path} holds an array {value.shape}; codes are [frames, levels], 8 levels at most")
    if codes.min() < 0 or codes.max() >= IDS:
        raise UserError(f"{path} holds numbers that are no codes; they go from 0 to {IDS - 1}")
    return np.ascontiguousarray(codes, np.int16)
