"""Repetition-aware sampling: a draw that is made again where its id has come too often of late.

VALL-E 2, Chen et al. 2024, arXiv 2406.05370; with a ban before the second draw as in CosyVoice 3.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from valle.samplers.functions.choosers import column, draw_from
from valle.samplers.functions.common import Choice, Parameters, falling, first_ids, of_rows
from valle.samplers.functions.history import latest
from valle.samplers.rows import Rows

Numbers = float | NDArray[np.float64]


def repetition_aware(logits: Tensor, rows: Rows, parameters: Parameters, states: None) -> Choice:
    """An id from the nucleus, or from a second draw with noise of its own where that id repeats."""
    final = logits.cpu().numpy()
    nucleus = nucleus_of(final, column(parameters["top_p"]), column(parameters["top_k"]))
    first = draw_from(final, nucleus, rows, "choose")
    again = repeats(first.token, rows, parameters, final.shape[-1])
    if not again.any():
        return first
    second = draw_from(final, _redrawn_from(final, first.token, parameters), rows, "redraw")
    return Choice(
        token=np.where(again, second.token, first.token),
        log_probability=np.where(again, second.log_probability, first.log_probability),
        runner_up=np.where(again, second.runner_up, first.runner_up),
        margin=np.where(again, second.margin, first.margin),
    )


def repeats(token: NDArray[np.int64], rows: Rows, parameters: Parameters, width: int) -> NDArray[np.bool_]:
    """Whether each row's id [R] has too great a share of its latest ids.

    The share is of the whole window, however short the past is.
    """
    ids = latest(rows, parameters["window"], width, ordered=False)
    count = np.zeros(len(token)) if ids is None else (ids.cpu().numpy() == token[:, None]).sum(-1)
    # In float32, which the values of a curve have: 1 in 10 must equal a threshold of 0.1 there too.
    share = np.asarray(count / of_rows(parameters["window"]), dtype=np.float32)
    threshold = np.asarray(of_rows(parameters["threshold"]), dtype=np.float32)
    return np.asarray(share >= threshold if parameters["rule"] == "reaching" else share > threshold)


def nucleus_of(final: NDArray[np.floating[Any]], top_p: Numbers, top_k: Numbers) -> NDArray[np.floating[Any]]:
    """The smallest set of best ids that reaches ``top_p``, at most ``top_k`` of them (0: no such limit).

    Logits [R, V] with all others at -inf; ties at a cut go to the lowest ids.
    """
    ordered = falling(final)
    reached = np.exp(ordered - ordered[:, :1], dtype=np.float64).cumsum(-1)
    within = (reached[:, :-1] < top_p * reached[:, -1:]).sum(-1, keepdims=True) + 1
    # What rounding makes of a sum must not cut a row that is to be whole.
    count = np.where(np.asarray(top_p) >= 1.0, final.shape[-1], within)
    count = np.where(np.asarray(top_k) == 0, count, np.minimum(count, np.ceil(np.maximum(top_k, 1))))
    return np.where(first_ids(final, ordered, count.astype(np.int64)), final, -np.inf)


def _redrawn_from(
    final: NDArray[np.float32], token: NDArray[np.int64], parameters: Parameters
) -> NDArray[np.floating[Any]]:
    if parameters["redraw"] == "full":
        return final
    if parameters["redraw"] == "tempered":
        tempered = final / column(parameters["redraw_temperature"])
        return nucleus_of(tempered, column(parameters["redraw_top_p"]), 0.0)
    banned = final.copy()
    banned[np.arange(len(token)), token] = -np.inf
    # An id that is the only one left is taken again.
    return np.where(np.isneginf(banned).all(-1, keepdims=True), final, banned)
