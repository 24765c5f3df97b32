"""Which hypotheses of a search go on, and which one wins: numbers only, without a model."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from valle.samplers.functions.choosers import log_probabilities
from valle.samplers.functions.common import Parameters

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Tally:
    """What H hypotheses have come to, each [H].

    ``length`` counts steps, the one that stopped included; ``total`` and ``raw`` are sums of
    log-probabilities in nats, after the stack and as the model gave them; ``stopped`` is whether the end was
    found.
    """

    length: Integers
    total: Floats
    raw: Floats
    stopped: NDArray[np.bool_]


def beam_score(tally: Tally, parameters: Parameters) -> Floats:
    """The log-probability over a power of the length, of each hypothesis [H]."""
    length = tally.length.astype(np.float64)
    if parameters["form"] == "gnmt":
        length = (5.0 + length) / 6.0
    return np.asarray(tally.total / length ** parameters["length_penalty"])


def best_of_score(tally: Tally, parameters: Parameters) -> Floats:
    """The chosen score of each hypothesis [H], the higher the better."""
    match parameters["score"]:
        case "total":
            return tally.total
        case "raw_mean":
            return np.asarray(tally.raw / tally.length)
        case "shortest":
            return -tally.length.astype(np.float64)
    return np.asarray(tally.total / tally.length)


def ranking(tally: Tally, score: Floats) -> Integers:
    """The hypotheses from the best to the worst: those that stopped before the others, then by score [H],
    then the lower number."""
    return np.lexsort((-score, ~tally.stopped))


def beam_children(
    final: NDArray[np.floating[Any]], total: Floats, width: int, stop: int | None
) -> tuple[Integers, Integers]:
    """The rows [C] and ids [C] that beams go on with, the best first: ``width`` that go on, if there are so
    many, and those among the ``width`` best of all that stop.

    ``final`` [R, V] are the logits after the stack, ``total`` [R] the log-probability of each beam so far.
    Ties go to the lower row, then to the lower id; ids that cannot be taken are left out.
    """
    score = (log_probabilities(final) + total[:, None]).reshape(-1)
    order = np.argsort(-score, kind="stable")[: 2 * width]
    order = order[np.isfinite(score[order])]
    row, token = np.divmod(order, final.shape[-1])
    stops = np.zeros(len(order), np.bool_) if stop is None else token == stop
    kept = np.where(stops, np.arange(len(order)) < width, (~stops).cumsum() <= width)
    return row[kept], token[kept]


def can_still_win(total: Floats, best: float, steps: int, limit: int, parameters: Parameters) -> bool:
    """Whether a beam that goes on can end with a better score than ``best``.

    A log-probability only falls; what it is divided by lies between its values at the next step and at the
    limit.
    """
    ends = np.array([steps + 1, limit])
    at_best = [
        beam_score(Tally(np.full(len(total), end), total, total, np.ones(len(total), np.bool_)), parameters)
        for end in ends
    ]
    return bool(np.max(at_best, initial=-np.inf) > best)
