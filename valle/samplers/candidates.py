"""The best ids of one row at every point of the stack, as a table for the eye."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from valle.samplers.rows import Rows
from valle.samplers.sampler import Sampler, States


@dataclass(frozen=True, slots=True)
class Candidates:
    """The N best ids of one row: by final probability, then by raw, the lowest id first among equals.

    ``probability`` [S, N] is that after each of ``points``, ``raw`` first, the last one final; ``cumulative``
    [N] adds up the final ones from the top; ``logit`` [S, N] is -inf where an id cannot be taken.
    """

    points: tuple[str, ...]
    ids: NDArray[np.int64]
    probability: NDArray[np.float32]
    logit: NDArray[np.float32]
    cumulative: NDArray[np.float32]

    @property
    def raw(self) -> NDArray[np.float32]:
        """The raw probabilities [N]."""
        return np.asarray(self.probability[0])

    @property
    def final(self) -> NDArray[np.float32]:
        """The final probabilities [N]."""
        return np.asarray(self.probability[-1])


@torch.inference_mode()
def candidates(
    sampler: Sampler,
    logits: Tensor,
    rows: Rows,
    states: States | None = None,
    *,
    row: int = 0,
    count: int = 20,
) -> Candidates:
    """The table of one row of ``logits`` [R, V], its ``count`` best ids."""
    stages = sampler.stages(logits, rows, states)
    logit = torch.stack([stage[row] for stage in stages.values()]).cpu()
    probability = logit.softmax(-1).numpy()
    ids = np.lexsort((-probability[0], -probability[-1]))[:count]
    return Candidates(
        points=tuple(stages),
        ids=ids,
        probability=probability[:, ids],
        logit=logit.numpy()[:, ids],
        cumulative=probability[-1][ids].cumsum(),
    )
