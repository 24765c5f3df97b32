"""Whether a recorded token could have been chosen, had the logits been a little different.

A replay on another machine gives logits that differ in their last digits. Where the stack then chooses
otherwise, this says whether such differences explain it.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from valle.control import Guide
from valle.samplers.rows import Rows
from valle.samplers.sampler import Sampler, States, pick
from valle.step import Evidence

TRIALS = 64


def within_reach(
    sampler: Sampler, logits: Tensor, rows: Rows, states: States, *, row: int, replayed: int, guide: Guide
) -> bool:
    """Try the stack on TRIALS perturbed copies of one row, with the same noise.

    The recorded evidence is put in its place and the other logits are moved at random within the guide's
    tolerance; the first copy has the recorded id as high and the replayed one as low as it may be.
    """
    recorded = int(guide.tokens[row])
    moved = _moved(logits[row], guide, guide.evidence, row, replayed)
    null = rows.null
    if null is not None:
        null = _moved(null[row], guide, guide.null_evidence, row, replayed)
    copies = np.full(TRIALS, row)
    decision = sampler.decide(
        moved,
        replace(rows.pick(copies), null=null),
        pick(states, torch.from_numpy(copies).to(logits.device)),
        measure="none",
    )
    return bool((decision.choice == recorded).any())


def _moved(logits: Tensor, guide: Guide, evidence: Evidence | None, row: int, replayed: int) -> Tensor:
    """TRIALS copies [TRIALS, V] of one row of logits [V], moved as far as the guide lets them."""
    recorded, values = int(guide.tokens[row]), logits.double()
    most = guide.moves(values.cpu().numpy())
    offsets = np.random.Generator(np.random.Philox(key=recorded)).uniform(-most, most, (TRIALS, len(most)))
    offsets[0, recorded], offsets[0, replayed] = most[recorded], -most[replayed]
    copies = values + torch.from_numpy(offsets).to(logits.device)
    if evidence is not None:
        copies[1:, recorded] = float(evidence.chosen[row])
        if evidence.top_ids is not None and evidence.top_logits is not None:
            ids = torch.from_numpy(evidence.top_ids[row].astype(np.int64)).to(logits.device)
            copies[1:, ids] = torch.from_numpy(evidence.top_logits[row].astype(np.float64)).to(logits.device)
    return copies.float()
