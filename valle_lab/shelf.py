"""Arrays of what is over, in a file of their own: only those that are looked at are in memory."""

from __future__ import annotations

import math
import tempfile
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
MOST_LOADED = 4


@dataclass(frozen=True, slots=True)
class Lot:
    """Where arrays lie that were put away together, and what they are."""

    begin: int
    kinds: tuple[tuple[np.dtype[Any], tuple[int, ...]], ...]


class Shelf:
    """Puts arrays into a file without a name, which goes with the process, and reads them when asked."""

    def __init__(self, folder: Path | None = None, most_loaded: int = MOST_LOADED) -> None:
        """`most_loaded` lots, those asked for last, are in memory.

        `folder` is where the file lies: the folder for temporary files is memory itself on many systems.
        """
        self._folder = folder
        self._file: IO[bytes] | None = None
        self._end = 0
        self._lock = threading.Lock()
        self._loaded = lru_cache(most_loaded)(self._load)

    def put(self, arrays: Sequence[Array]) -> Lot | None:
        """Put arrays away; None where the disk does not take them."""
        data = b"".join(array.tobytes() for array in arrays)
        with self._lock:
            try:
                if self._file is None:
                    self._file = self._new_file()
                self._file.seek(self._end)
                self._file.write(data)
                self._file.flush()
            except OSError:
                return None
            lot = Lot(self._end, tuple((array.dtype, array.shape) for array in arrays))
            self._end += len(data)
        return lot

    def _new_file(self) -> IO[bytes]:
        if self._folder is not None:
            self._folder.mkdir(parents=True, exist_ok=True)
        return tempfile.TemporaryFile(prefix="valle-lab-", dir=self._folder)

    def arrays(self, lot: Lot) -> tuple[Array, ...]:
        """The arrays of a lot in their order, not to be written to. Raises OSError."""
        return self._loaded(lot)

    def _load(self, lot: Lot) -> tuple[Array, ...]:
        assert self._file is not None
        with self._lock:
            self._file.seek(lot.begin)
            return tuple(
                np.frombuffer(self._file.read(math.prod(shape) * dtype.itemsize), dtype).reshape(shape)
                for dtype, shape in lot.kinds
            )
