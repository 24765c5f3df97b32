"""What a value of `lab.toml` may be: each takes a key and what was given for it, and returns the value.

They raise ValueError with what to do instead.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from valle import folders
from valle.errors import UserError
from valle.request import SEED_LIMIT
from valle.samplers.stack import Stack

MOST_THREADS = 1024
LONGEST_NAME = 4096
TABLE = "it is a table"

Check = Callable[[str, Any], Any]


def name(key: str, value: Any) -> str:
    if not text(key, value):
        raise ValueError("it must have at least 1 character")
    return str(value)


def text(key: str, value: Any) -> str:
    if not isinstance(value, str):
        raise ValueError("it must be a string")
    if len(value) > LONGEST_NAME:
        raise ValueError(f"it must have at most {LONGEST_NAME} characters")
    return value


def switch(key: str, value: Any) -> bool:
    if not isinstance(value, bool):
        raise ValueError("use true or false")
    return value


def one_of(names: tuple[str, ...]) -> Check:
    shown = [repr(name) for name in names]

    def check(key: str, value: Any) -> Any:
        if value not in names:
            raise ValueError(f"use {', '.join(shown[:-1])} or {shown[-1]}")
        return value

    return check


def number(least: float, most: float, *, above: bool = False) -> Check:
    def check(key: str, value: Any) -> float:
        if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
            raise ValueError("it must be a number")
        if value < least or (above and value == least):
            raise ValueError(f"it must be {'greater than' if above else 'at least'} {least:g}")
        if value > most:
            raise ValueError(f"it must be at most {most:g}")
        return float(value)

    return check


def threads(key: str, value: Any) -> Any:
    if value == "auto" or (type(value) is int and 1 <= value <= MOST_THREADS):
        return value
    raise ValueError(f'use "auto" or a number from 1 to {MOST_THREADS}')


def seed(key: str, value: Any) -> Any:
    if value == "new" or (type(value) is int and 0 <= value < SEED_LIMIT):
        return value
    raise ValueError('use "new" or a number from 0 to 2^64 - 1')


def device(key: str, value: Any) -> str:
    if isinstance(value, str) and re.fullmatch(r"auto|cpu|cuda(:\d{1,3})?", value):
        return value
    raise ValueError('use "auto", "cpu", "cuda" or "cuda:N"')


def folder(key: str, value: Any) -> Path:
    if not isinstance(value, str) or not value.strip() or "\0" in value:
        raise ValueError('use the name of a folder, or "auto"')
    if value == "auto":
        return folders.data() / key
    return Path(value).expanduser()


def stacks(key: str, value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise ValueError(TABLE)
    if value:
        try:
            Stack.from_dict(value)
        except UserError as error:
            raise ValueError(str(error).rstrip(".")) from None
    return value
