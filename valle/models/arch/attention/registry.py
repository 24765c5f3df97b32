"""The registry of attention backends, and the mask that all of them take."""

from __future__ import annotations

import difflib
from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor

from valle.errors import UserError
from valle.models.arch.attention import backends


@dataclass(frozen=True, eq=False)
class Mask:
    """Who sees whom.

    causal: query i of n sees the keys up to its own, the queries being the last n keys.
    keep: bool [R, 1, Tq, Tk] where rows differ; it then holds all there is to know and `causal` is False.
    """

    causal: bool = False
    keep: Tensor | None = None


Attend = Callable[[Tensor, Tensor, Tensor, Tensor | None, bool], Tensor]

BACKENDS: dict[str, Attend] = {
    "eager": backends.eager,
    "math": backends.math,
    "sdpa": backends.sdpa,
}


def resolve(name: str) -> str:
    """Return the backend that `auto` stands for here, or the name itself.

    Raises UserError for a name that does not exist.
    """
    if name == "auto":
        return "sdpa"
    if name not in BACKENDS:
        near = difflib.get_close_matches(name, BACKENDS, n=1)
        hint = f"; did you mean {near[0]}?" if near else ""
        names = ", ".join(("auto", *BACKENDS))
        raise UserError(f"unknown attention backend {name!r}; there is {names}{hint}")
    return name


def find(name: str) -> Attend:
    """Return the function of a backend, called with query [R, H, Tq, d], key, value, keep and causal."""
    return BACKENDS[resolve(name)]
