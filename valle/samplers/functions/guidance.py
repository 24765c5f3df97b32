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
    return GuidanceState(states.sums + _sums(_passes(logits, rows, parameters)))


def gather_guidance(
    states: GuidanceState, rows: Rows, parameters: Parameters, logits: Tensor
) -> GuidanceState:
    """Of each row, what the other rows of its pass add up to; nothing where each is rescaled by itself."""
    if parameters["rescale_over"] == "row":
        return states
    own = _sums(_passes(logits, rows, parameters))
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
    passes = _passes(logits, rows, parameters)
    guided: Tensor = passes.conditional + (scale - 1.0) * passes.difference()
    if not _is(rescale, 0.0):
        before = states.sums if states is not None and parameters["rescale_over"] == "sequence" else 0.0
        ratio = _deviation_ratio(_sums(passes) + before, scale)
        guided = passes.where_allowed(guided * (rescale * ratio + (1.0 - rescale)))
    result = guided
    if not _is(blend, 1.0):
        plain = passes.conditional.log_softmax(-1)
        result = passes.where_allowed(blend * guided.log_softmax(-1) + (1.0 - blend) * plain)
    if parameters["candidates"]:
        best = top_k(guided, rows, {"k": parameters["candidates"]}, None) > NEVER
        result = torch.where(best, result, NEVER)
    if isinstance(scale, Tensor):
        result = torch.where(scale == 1.0, logits.float(), result)
    elif scale == 1.0:
        return logits
    return result.to(logits.dtype)


@dataclass(frozen=True, slots=True)
class _Passes:
    """Conditional and null logits [R, V]; ``finite`` where both are so, None where all are."""

    conditional: Tensor
    null: Tensor
    finite: Tensor | None

    def difference(self) -> Tensor:
        """Conditional minus null; 0 where that is no number."""
        difference = self.conditional - self.null
        return difference if self.finite is None else torch.where(self.finite, difference, 0.0)

    def where_allowed(self, values: Tensor) -> Tensor:
        """The values of ids that the conditional pass does not forbid."""
        return values if self.finite is None else torch.where(self.conditional > NEVER, values, NEVER)


def _passes(logits: Tensor, rows: Rows, parameters: Parameters) -> _Passes:
    """Both passes as guidance takes them."""
    if rows.null is None:
        raise StackError("guidance needs the logits of the null pass, and these rows come without them")
    conditional, null = logits.float(), rows.null.float()
    if parameters["log_softmax"]:
        conditional, null = conditional.log_softmax(-1), null.log_softmax(-1)
    if bool((conditional.sum() + null.sum()).isfinite()):
        return _Passes(conditional, null, None)
    return _Passes(conditional, null, (conditional > NEVER) & (null > NEVER))


def _sums(passes: _Passes) -> Tensor:
    """What GuidanceState keeps, of each row by itself."""
    c, n = passes.conditional.double(), passes.null.double()
    if passes.finite is None:
        count = c.new_full((len(c),), c.shape[-1])
    else:
        c, n = torch.where(passes.finite, c, 0.0), torch.where(passes.finite, n, 0.0)
        count = passes.finite.sum(-1, dtype=c.dtype)
    dot = torch.linalg.vecdot
    return torch.stack((count, c.sum(-1), n.sum(-1), dot(c, c), dot(n, n), dot(c, n)), -1)


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
