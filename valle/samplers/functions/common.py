"""What the families share."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

Parameters = Mapping[str, Any]
Floating = TypeVar("Floating", bound=np.floating[Any])

NEVER = float("-inf")
"""The logit of an id that cannot be taken."""
NEVER_32 = np.float32(NEVER)
FLOOR = -80.0
"""Where log-probabilities end when they are multiplied with probabilities, so that 0 log 0 is 0."""


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


def ids_of(ids: Iterable[int], device: torch.device) -> Tensor:
    """Ids as a tensor, which is shared and must not be changed."""
    return _ids_of(tuple(ids), device)


@lru_cache(maxsize=64)
def _ids_of(ids: tuple[int, ...], device: torch.device) -> Tensor:
    return torch.tensor(ids, dtype=torch.int64, device=device)


def of_rows(parameter: float | Tensor) -> float | NDArray[np.float32]:
    """A parameter's values [R] for numpy, or the number that holds for all rows."""
    return parameter[:, 0].cpu().numpy() if isinstance(parameter, Tensor) else parameter


def single_column(parameter: float | Tensor) -> float | NDArray[np.float32]:
    """A parameter's values [R, 1] for numpy in single precision, or the number that holds for all rows."""
    return parameter.cpu().numpy() if isinstance(parameter, Tensor) else parameter


def whole_at_one(share: float | Tensor) -> float | NDArray[np.float32]:
    """A share of the probability for numpy, out of reach from 1 on, which rounding must not come near."""
    return single_column(torch.where(share >= 1.0, 2.0, share) if isinstance(share, Tensor) else share)


def in_row(parameter: float | Tensor, row: Tensor) -> float | Tensor:
    """A parameter's values [M] in the rows of these numbers [M], or the number that holds for all."""
    return parameter[row, 0] if isinstance(parameter, Tensor) else parameter


def log_of(parameter: float | Tensor) -> float | Tensor:
    """The logarithm of a parameter that is not negative; that of 0 is -inf."""
    if isinstance(parameter, Tensor):
        return parameter.log()
    return math.log(parameter) if parameter > 0 else NEVER


def entropy(log_probability: Tensor) -> Tensor:
    """Entropy [R, 1] in nats of log-probabilities [R, V], where 0 log 0 is 0.

    The exponential of -inf is right but slow.
    """
    held = log_probability.clamp_min(FLOOR)
    return -(held.exp() * held).sum(-1, keepdim=True)


def only_best(logits: Tensor) -> Tensor:
    """Each row with everything but its best id at -inf; the lowest id among equals."""
    best = logits.argmax(-1, keepdim=True)
    return torch.full_like(logits, NEVER).scatter_(-1, best, logits.gather(-1, best))


def floats(logits: Tensor) -> NDArray[np.float32]:
    """The logits as numpy's, which share their memory on the CPU; float32 holds those of half precision."""
    numbers: NDArray[np.float32] = logits.float().cpu().numpy()
    return numbers


def falling(logits: NDArray[Floating]) -> NDArray[Floating]:
    """Each row's logits in falling order, as a view.

    numpy sorts many times faster than torch on the CPU (measured: 900 rows of 1024 in 2 ms against 100 ms).
    """
    return np.sort(logits, -1)[:, ::-1]


def keep_from(logits: Tensor, scores: Tensor, threshold: float | Tensor) -> Tensor:
    """The ids whose score [R, V] reaches the threshold; those of the best score whatever it is."""
    best = scores.amax(-1, keepdim=True)
    least = torch.minimum(best, threshold) if isinstance(threshold, Tensor) else best.clamp_max(threshold)
    return torch.where(scores >= least, logits, NEVER)


def keep_first(
    given: NDArray[np.float32], ordered: NDArray[np.float32], count: int | NDArray[np.int64], like: Tensor
) -> Tensor:
    """Each row's ``count`` best ids, see `first_ids`, of the type and on the device of ``like``."""
    return kept(given, first_ids(given, ordered, count), like)


def first_ids(
    given: NDArray[np.floating[Any]], ordered: NDArray[np.floating[Any]], count: int | NDArray[np.int64]
) -> NDArray[np.bool_]:
    """Which ids are each row's ``count`` best, a number or [R, 1], at least one; ties at the cut go to the
    lowest ids.

    ``given`` are the logits [R, V] and ``ordered`` the same in falling order.
    """
    width = given.shape[-1]
    if isinstance(count, int):
        threshold, following = ordered[:, count - 1 : count], ordered[:, min(count, width - 1), None]
    else:
        row = np.arange(len(ordered))[:, None]
        threshold, following = ordered[row, count - 1], ordered[row, np.minimum(count, width - 1)]
    keep = given >= threshold
    tied = following == threshold
    if np.count_nonzero(tied) and (tied & (threshold > NEVER) & (count < width)).any():
        above, equal = given > threshold, given == threshold
        room = count - above.sum(-1, keepdims=True)
        keep = above | (equal & (equal.cumsum(-1) <= room))
    return keep


def kept(given: NDArray[np.float32], keep: NDArray[np.bool_], like: Tensor) -> Tensor:
    """The logits that are kept, the others at -inf, of the type and on the device of ``like``."""
    return torch.from_numpy(np.where(keep, given, NEVER_32)).to(like)
