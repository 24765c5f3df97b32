"""Files that are either the old one or the new one, never half of the new one."""

from __future__ import annotations

import contextlib
import os
import secrets
from pathlib import Path

from valle.errors import UserError


def write_atomically(path: Path | str, data: bytes) -> Path:
    """Write `data` to `path` through a temporary file beside it and a rename; makes the folder if need be.

    Returns the path. Raises UserError, naming the file, if it cannot be written.
    """
    path = Path(path)
    temporary = path.with_name(f".{path.name[:100]}.{secrets.token_hex(4)}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            temporary.write_bytes(data)
            os.replace(temporary, path)
        finally:
            with contextlib.suppress(OSError):
                temporary.unlink(missing_ok=True)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else error
        raise UserError(f"{path} cannot be written: {reason}") from error
    return path
