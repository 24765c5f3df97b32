"""Losses on utterances never trained on: of each kind of batch, each level, and with the wrong text."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch

from valle.models.ar_nar import ArNar
from valle.models.base import Inputs
from valle.training.corpus import Batch, Corpus, Kind, Mix

BATCHES = 6
BUDGET = 2000
LEVELS = 7
COMPLETE = Mix(without_voice=0.0, without_both=0.0, hidden=0.0)


def heldout_losses(model: ArNar, corpus: Corpus) -> dict[str, dict[str, float]]:
    """Mean cross entropy in nats and share of right ids, per kind of batch and per level of NAR.

    `ar, wrong text` has the texts of other utterances: what the model hears from the text is the difference.
    """
    found = {kind.value: _measured(model, corpus, kind, COMPLETE) for kind in Kind if kind is not Kind.NAR}
    found["ar, wrong text"] = _measured(model, corpus, Kind.AR, COMPLETE, swapped=True)
    for level in range(1, LEVELS + 1):
        only = replace(COMPLETE, levels=tuple(float(each == level) for each in range(1, LEVELS + 1)))
        found[f"nar {level}"] = _measured(model, corpus, Kind.NAR, only)
    return found


@torch.inference_mode()
def _measured(model: ArNar, corpus: Corpus, kind: Kind, mix: Mix, swapped: bool = False) -> dict[str, float]:
    random = np.random.default_rng(5)
    losses, right = [], []
    for _ in range(BATCHES):
        batch = corpus.batch(kind, mix, BUDGET, random)
        found = model.loss(_swapped(batch) if swapped else batch.rows, batch.targets)
        losses.append(found.mean.item())
        right.append(((found.correct & found.counted).sum() / found.counted.sum()).item())
    return {"loss": round(float(np.mean(losses)), 3), "right": round(float(np.mean(right)), 3)}


def _swapped(batch: Batch) -> list[Inputs]:
    texts = [row.phonemes for row in batch.rows]
    return [replace(row, phonemes=texts[(i + 1) % len(texts)]) for i, row in enumerate(batch.rows)]
