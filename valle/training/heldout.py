"""Losses on utterances never trained on: of each kind of batch, each level, and with the wrong text."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace

import numpy as np
import torch

from valle.models.ar_nar import ArNar
from valle.models.backbones import find_backbone
from valle.models.base import Inputs
from valle.training.corpus import Batch, Corpus, Kind, Mix

BATCHES = 6
BUDGET = 2000
LEVELS = 7
COMPLETE = Mix(without_voice=0.0, without_both=0.0, hidden=0.0)


def heldout_losses(
    model: ArNar, corpus: Corpus, kinds: Collection[Kind] = tuple(Kind)
) -> dict[str, dict[str, float]]:
    """Mean cross entropy in nats and share of right ids, per kind of batch and per level of NAR.

    `ar, wrong text` has the texts of other utterances: what the model hears from the text is the difference.
    `unigram` is what the codes of level 0 would cost if only their shares were known. A model that reads from
    left to right has level 0 alone.
    """
    if not find_backbone(model.config.architecture).looks_ahead:
        kinds = set(kinds) - {Kind.NAR, Kind.NAR_LEN}
    found = {
        kind.value: measured(model, corpus, kind, COMPLETE)
        for kind in Kind
        if kind in kinds and kind is not Kind.NAR
    }
    if Kind.AR in kinds:
        found["ar, wrong text"] = measured(model, corpus, Kind.AR, COMPLETE, swapped=True)
        found["unigram"] = {"loss": round(unigram_entropy(corpus), 3)}
    if Kind.NAR not in kinds:
        return found
    for level in range(1, LEVELS + 1):
        only = replace(COMPLETE, levels=tuple(float(each == level) for each in range(1, LEVELS + 1)))
        found[f"nar {level}"] = measured(model, corpus, Kind.NAR, only)
    return found


@torch.inference_mode()
def measured(model: ArNar, corpus: Corpus, kind: Kind, mix: Mix, swapped: bool = False) -> dict[str, float]:
    """Mean cross entropy in nats and share of right ids of one kind, if `swapped` with texts of others."""
    random = np.random.default_rng(5)
    losses, right = [], []
    for _ in range(BATCHES):
        batch = corpus.batch(kind, mix, BUDGET, random)
        found = model.loss(_swapped(batch) if swapped else batch.rows, batch.targets)
        losses.append(found.mean.item())
        right.append(((found.correct & found.counted).sum() / found.counted.sum()).item())
    return {"loss": round(float(np.mean(losses)), 3), "right": round(float(np.mean(right)), 3)}


def unigram_entropy(corpus: Corpus) -> float:
    """The entropy of the codes of level 0 in nats, each by itself."""
    codes = np.concatenate([corpus[index].codes[:, 0] for index in range(len(corpus))])
    shares = np.unique(codes, return_counts=True)[1] / len(codes)
    return float(-(shares * np.log(shares)).sum())


def _swapped(batch: Batch) -> list[Inputs]:
    texts = [row.phonemes for row in batch.rows]
    return [replace(row, phonemes=texts[(i + 1) % len(texts)]) for i, row in enumerate(batch.rows)]
