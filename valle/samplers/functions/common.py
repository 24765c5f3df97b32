"""What the families share."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

Parameters = Mapping[str, Any]

NEVER = float("-inf")
"""The logit of an id that cannot be taken."""


@dataclass(frozen=True, slots=True)
class Choice:
    """What a chooser decided for each row, all [R].

    ``log_probability`` is the final one of the token, in nats; ``margin`` is the best score minus the second,
    with noise where there is any, infinite where only one id could be taken; ``runner_up`` is -1 then.
    """

    token: NDArray[np.int64]
    log_probability: NDArray[np.float32]
    runner_up: NDArray[np.int64]
    margin: NDArray[np.float64]


def only_best(logits: Tensor) -> Tensor:
    """Each row with everything but its best id at -inf; the lowest id among equals."""
    best = logits.argmax(-1, keepdim=True)
    return torch.full_like(logits, NEVER).scatter_(-1, best, logits.gather(-1, best))


def keep_best(logits: Tensor, threshold: Tensor, count: Tensor | int, tied: Tensor) -> Tensor:
    """Each row's ``count`` best ids [R, 1], where ``threshold`` [R, 1] is the logit of the last of them.

    ``tied`` tells whether the next best id has the same logit in any row; ties go to the lowest ids.
    """
    keep = logits >= threshold
    if bool(tied):
        above = logits > threshold
        equal = logits == threshold
        room = count - above.sum(-1, keepdim=True)
        keep = above | (equal & (equal.cumsum(-1) <= room))
    return torch.where(keep, logits, NEVER)


def keep_first(logits: Tensor, ordered: Tensor, count: Tensor) -> Tensor:
    """Each row's ``count`` best ids [R, 1], from its logits in falling order, at least so many."""
    threshold = ordered.gather(-1, count - 1)
    following = ordered.gather(-1, count.clamp_max(ordered.shape[-1] - 1))
    tied = ((following == threshold) & (count < ordered.shape[-1])).any()
    return keep_best(logits, threshold, count, tied)
