"""Files that are either the old one or the new one, never half of the new one."""

from __future__ import annotations

import contextlib
import os
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from valle.errors import UserError


def write_atomically(path: Path | str, data: bytes) -> Path:
    """Write `data` to `path` through a temporary file beside it and a rename; makes the folder if need be.

    Returns the path. Raises UserError, naming the file, if it cannot be written.
    """
    path = Path(path)
    with replacing(path) as file:
        file.write(data)
    return path


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[BinaryIO]:
    """A temporary file beside `path` to write to, which becomes `path` where nothing is raised.

    Makes the folder if need be. Raises UserError, naming the file, if it cannot be written.
    """
    temporary = path.with_name(f".{path.name[:100]}.{secrets.token_hex(4)}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with temporary.open("xb") as file:
                yield file
            os.replace(temporary, path)
        finally:
            with contextlib.suppress(OSError):
                temporary.unlink(missing_ok=True)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else error
        raise UserError(f"{path} cannot be written: {reason}") from error
