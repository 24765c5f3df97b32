"""What a trace keeps so that a replay can be judged: float32, in nats, of the raw logits."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

BEST = 8
"""How many of the best raw logits an AR decision keeps."""


@dataclass(frozen=True, slots=True)
class Evidence:
    """Evidence of R decisions from one pass of the model.

    ``logsumexp`` [R] and ``chosen`` [R] (the raw logit of the taken id) are kept everywhere; ``best_ids`` and
    ``best_logits`` [R, 8], best first, for decisions of one row at a time, and [R, 0] elsewhere.
    """

    logsumexp: NDArray[np.float32]
    chosen: NDArray[np.float32]
    best_ids: NDArray[np.int32]
    best_logits: NDArray[np.float32]


@torch.inference_mode()
def collect(raw: Tensor, token: Tensor, best: int = BEST) -> Evidence:
    """Evidence of raw logits [R, V] (conditional or of the null pass) and taken ids [R]; ``best`` 0 keeps no
    table."""
    raw = raw.float()
    values, ids = raw.topk(min(best, raw.shape[-1]))
    logits, row = raw.cpu().numpy(), np.arange(len(raw))
    top = logits.max(-1)
    return Evidence(
        logsumexp=top + np.log(np.exp(logits - top[:, None]).sum(-1)),
        chosen=logits[row, token.cpu().numpy()],
        best_ids=ids.cpu().numpy().astype(np.int32),
        best_logits=values.cpu().numpy(),
    )
