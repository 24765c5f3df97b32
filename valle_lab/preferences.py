"""Writing a person's own `lab.toml`: one key at a time, comments and order left as they are."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import tomlkit
from tomlkit.exceptions import TOMLKitError
from tomlkit.items import AbstractTable, Array

from valle.errors import UserError
from valle.files import write_atomically
from valle_lab.settings import FILE_NAME, user_settings_file

LONG = 60
"""A list that is longer than so many characters takes a line for each item."""


def settings_file() -> Path:
    """The file that a change goes to: the lab.toml of this folder if there is one, else the person's own."""
    here = Path(FILE_NAME)
    return here if here.is_file() else user_settings_file()


def write_setting(key: str, value: Any, file: Path | None = None) -> Path:
    """Set one dotted key, which keeps its place and comment where it is there already; gives the file.

    The names of commands in the table `keys` have dots themselves. Raises UserError for a file that cannot be
    read or written.
    """
    path = file or settings_file()
    try:
        document = tomlkit.parse(path.read_text(encoding="utf-8") if path.is_file() else "")
    except (OSError, ValueError, TOMLKitError) as error:
        raise UserError(f"{path} cannot be changed: {error}".replace("\n", " ")) from None
    table: Any = document
    first, _, rest = key.partition(".")
    parts = [first, rest] if first == "keys" else key.split(".")
    for part in parts[:-1]:
        table = _table(table, part)
    if isinstance(value, Mapping):
        _fill(_table(table, parts[-1]), value)
    else:
        table[parts[-1]] = _item(value)
    write_atomically(path, tomlkit.dumps(document).encode())
    return path


def write_table(values: Mapping[str, Any], path: Path) -> Path:
    """Write a file of its own, lists a line for each item. Raises UserError where it cannot be written."""
    document = tomlkit.document()
    for key, value in values.items():
        document[key] = _item(value)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, tomlkit.dumps(document).encode())
    return path


def _table(parent: Any, name: str) -> Any:
    """The table of that name, made where it is not there yet."""
    if not isinstance(parent.get(name), AbstractTable):
        parent[name] = tomlkit.table()
    return parent[name]


def _fill(table: Any, values: Mapping[str, Any]) -> None:
    """Give a table these entries and no others; its comments stay."""
    for key in [key for key in table if key not in values]:
        del table[key]
    for key, value in values.items():
        table[key] = _item(value)


def _item(value: Any) -> Any:
    """A value as it is to be written: tables of lists open, everything below inline."""
    if isinstance(value, Mapping):
        table = tomlkit.table()
        for key, inner in value.items():
            table[key] = _item(inner) if isinstance(inner, list) else inner
        return table
    if isinstance(value, list):
        return _list(value)
    return tomlkit.item(value)


def _list(values: list[Any]) -> Array:
    array = tomlkit.array()
    for value in values:
        array.append(_inline(value))
    return array.multiline(len(array.as_string()) > LONG)


def _inline(value: Any) -> Any:
    if isinstance(value, Mapping):
        table = tomlkit.inline_table()
        for key, inner in value.items():
            table[key] = _inline(inner)
        return table
    return value
