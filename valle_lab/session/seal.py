"""The seal of a blind trial: a hash of order and salt, which binds to the order and tells nothing of it."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Sequence

LABELS = "XYZ"
"""What the takes of a trial are called while nobody knows which is which."""
SALT_BYTES = 32


def new_salt() -> str:
    """A salt, in hexadecimal, that nobody can guess."""
    return secrets.token_hex(SALT_BYTES)


def seal_of(order: Sequence[str], salt: str) -> str:
    """The seal: sha256 of the salt and of the takes in the order of their labels, a line each, in UTF-8."""
    return hashlib.sha256("\n".join((salt, *order)).encode()).hexdigest()
