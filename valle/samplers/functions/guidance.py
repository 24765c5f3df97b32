"""Classifier-free guidance: away from the null pass (Sanchez et al. 2023, arXiv 2306.17806)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from valle.samplers.errors import StackError
from valle.samplers.functions.common import NEVER, Parameters
from valle.samplers.functions.truncation import top_k
from valle.samplers.rows import Rows

IN_PLACE = ("nar", "nar_len")
"""Phases whose passes decide all positions at once; the others have one row a step."""
FLAT = 1e-12
"""Variance, as a share of the mean square, from which down a row is flat but for rounding."""


@dataclass(frozen=True, slots=True)
class GuidanceState:
    """``sums`` [R, 6], float64, over the rows that belong to each row's sequence beside itself.

    Of conditional logits c and null logits n, where both are finite: count, c, n, c^2, n^2, c n. From these
    the deviation of guided logits follows for any scale, so that a new scale needs no history.
    """

    sums: Tensor


def start_guidance(rows_count: int, parameters: Parameters, device: torch.device | str) -> GuidanceState:
    """Nothing before the first row."""
    return GuidanceState(torch.zeros(rows_count, 6, dtype=torch.float64, device=device))


def accept_guidance(
    states: GuidanceState, rows: Rows, parameters: Parameters, logits: Tensor, chosen: Tensor
) -> GuidanceState:
    """Count a decided row in; where all positions are decided in one pass nothing is carried on."""
    if rows.phase in IN_PLACE:
        return states
    return GuidanceState(states.sums + _sums(*_passes(logits, rows, parameters)))


def gather_guidance(
    states: GuidanceState, rows: Rows, parameters: Parameters, logits: Tensor
) -> GuidanceState:
    """Of each row, what the other rows of its pass add up to."""
    own = _sums(*_passes(logits, rows, parameters))
    passes = np.stack((rows.take, rows.segment, rows.hypothesis, rows.level, rows.step))
    index = torch.from_numpy(np.unique(passes, axis=1, return_inverse=True)[1].reshape(-1)).to(own.device)
    totals = torch.zeros_like(own).index_add(0, index, own)
    return GuidanceState(totals[index] - own)


def guidance(logits: Tensor, rows: Rows, parameters: Parameters, states: GuidanceState | None) -> Tensor:
    """The guided logits; the conditional ones where the scale is 1.

    An id that the conditional pass forbids stays forbidden; one that only the null pass forbids is left as
    the conditional pass has it.
    """
    scale, rescale, blend = parameters["scale"], parameters["rescale"], parameters["blend"]
    conditional, null = _passes(logits, rows, parameters)
    allowed = conditional > NEVER
    guided: Tensor = conditional + (scale - 1.0) * _difference(conditional, null)
    if not _is(rescale, 0.0):
        before = states.sums if states is not None and parameters["rescale_over"] == "sequence" else 0.0
        ratio = _deviation_ratio(_sums(conditional, null) + before, scale)
        guided = torch.where(allowed, guided * (rescale * ratio + (1.0 - rescale)), NEVER)
    result = guided
    if not _is(blend, 1.0):
        mixed = blend * guided.log_softmax(-1) + (1.0 - blend) * conditional.log_softmax(-1)
        result = torch.where(allowed, mixed, NEVER)
    if parameters["candidates"]:
        best = top_k(guided, rows, {"k": parameters["candidates"]}, None) > NEVER
        result = torch.where(best, result, NEVER)
    if isinstance(scale, Tensor):
        result = torch.where(scale == 1.0, logits.float(), result)
    elif scale == 1.0:
        return logits
    return result.to(logits.dtype)


def _passes(logits: Tensor, rows: Rows, parameters: Parameters) -> tuple[Tensor, Tensor]:
    """Conditional and null logits [R, V] as guidance takes them."""
    if rows.null is None:
        raise StackError("guidance needs the logits of the null pass, and these rows come without them")
    conditional, null = logits.float(), rows.null.float()
    if parameters["log_softmax"]:
        return conditional.log_softmax(-1), null.log_softmax(-1)
    return conditional, null


def _difference(conditional: Tensor, null: Tensor) -> Tensor:
    return torch.where(_both_finite(conditional, null), conditional - null, 0.0)


def _both_finite(conditional: Tensor, null: Tensor) -> Tensor:
    return (conditional > NEVER) & (null > NEVER)


def _sums(conditional: Tensor, null: Tensor) -> Tensor:
    """What GuidanceState keeps, of each row by itself."""
    counted = _both_finite(conditional, null)
    c = torch.where(counted, conditional, 0.0).double()
    n = torch.where(counted, null, 0.0).double()
    parts = (counted.double(), c, n, c * c, n * n, c * n)
    return torch.stack([part.sum(-1) for part in parts], -1)


def _deviation_ratio(sums: Tensor, scale: Any) -> Tensor:
    """The conditional logits' standard deviation over the guided ones', [R, 1]; 1 where these are flat."""
    c, n, cc, nn, cn = (sums[:, 1:] / sums[:, :1].clamp_min(1.0)).split(1, -1)
    away = scale - 1.0
    mean = (1.0 + away) * c - away * n
    square = (1.0 + away) ** 2 * cc + away**2 * nn - 2.0 * away * (1.0 + away) * cn
    spread = (square - mean**2).clamp_min(0.0)
    ratio = ((cc - c**2).clamp_min(0.0) / spread).sqrt()
    return torch.where(spread > FLAT * square, ratio, 1.0).float()


def _is(parameter: float | Tensor, number: float) -> bool:
    return not isinstance(parameter, Tensor) and parameter == number
