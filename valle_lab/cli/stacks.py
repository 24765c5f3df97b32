"""A stack from a file: the same dict in TOML and in JSON."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Any

from valle.errors import UserError

if TYPE_CHECKING:
    from valle.samplers.stack import Stack

LARGEST_FILE = 1 << 20


def read_stack(file: Path) -> Stack:
    """The stack in a .toml or .json file.

    Raises UserError, which names the file, where it cannot be read or is no stack.
    """
    from valle.samplers.stack import Stack

    try:
        return Stack.from_dict(read_table(file))
    except UserError as error:
        raise UserError(f"{file}: {error}") from error


def read_table(file: Path) -> dict[str, Any]:
    """The table in a .toml or .json file. Raises UserError."""
    try:
        if file.stat().st_size > LARGEST_FILE:
            raise UserError("larger than a stack can be")
        text = file.read_text(encoding="utf-8")
    except OSError as error:
        raise UserError(f"cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise UserError("is not a text file in UTF-8") from error
    try:
        table = tomllib.loads(text) if file.suffix.lower() == ".toml" else json.loads(text)
    except (ValueError, RecursionError) as error:
        kind = "TOML" if file.suffix.lower() == ".toml" else "JSON"
        raise UserError(f"is not {kind}: {error}") from error
    if not isinstance(table, dict):
        raise UserError("holds no table; a stack is a table with a list of stages per phase")
    return table
