"""Every backbone, trained for a second: it learns more than how often each code is, and it reads the text.

Broken off shortly before the end it goes on from its file with the same losses.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from valle.models.backbones import BACKBONES
from valle.training.corpus import Corpus, Kind, Mix
from valle.training.heldout import COMPLETE, measured, unigram_entropy
from valle.training.model_recipe import ModelRecipe
from valle.training.model_training import ModelTrainer
from valle.training.runs import Run, Schedule
from valle.training.speech import SpeechShard

FRAMES, WORDS, SOUNDS = 8, 8, 4


def babble(count: int, seed: int) -> Corpus:
    """Texts of one of eight words said three times, in frames of any of the four codes that the word has."""
    random = np.random.default_rng(seed)
    words = random.integers(0, WORDS, count)
    codes = np.zeros((count * FRAMES, 8), np.int16)
    codes[:, 0] = np.repeat(words, FRAMES) * SOUNDS + random.integers(0, SOUNDS, count * FRAMES)
    ids = np.stack([np.full(count, 1), *[words + 4] * 3, np.full(count, 2)], 1)
    corpus = Corpus()
    corpus.add(
        SpeechShard(
            codes=codes,
            starts=np.arange(count + 1) * FRAMES,
            ids=ids.astype(np.int16).ravel(),
            id_starts=np.arange(count + 1) * ids.shape[1],
            alignment=np.full(len(codes), -1, np.int16),
            speakers=np.arange(count).astype(np.int16),
            rates=np.zeros(count, np.int16),
        )
    )
    return corpus


@pytest.mark.parametrize("name", BACKBONES)
def test_it_learns_the_codes_and_reads_the_text(name: str, tmp_path: Path) -> None:
    recipe = ModelRecipe(
        dim=16,
        layers=1,
        heads=2,
        budget=1300,
        batches=1,
        other_rate=0.01,
        architecture=name,
        experts=4 if name == "mixtral" else 1,
        mix=Mix(kinds=(1, 0, 0, 0, 0), hidden=0.0, without_voice=0.0, without_both=0.0),
    )
    corpus = babble(200, seed=0)
    trainer, resumed = (ModelTrainer(recipe, corpus) for _ in range(2))
    for _ in range(38):
        trainer.train_step(1.0)
    Run(tmp_path).save(trainer.state(), Schedule(), trainer.step)
    resumed.restore(Run(tmp_path).load() or {})
    for _ in range(2):
        (result,) = trainer.train_step(1.0)
        assert resumed.train_step(1.0) == [result]
    assert (result.router > 0) == (name == "mixtral")
    heldout = babble(60, seed=1)
    right = measured(trainer.model, heldout, Kind.AR, COMPLETE)["loss"]
    wrong = measured(trainer.model, heldout, Kind.AR, COMPLETE, swapped=True)["loss"]
    assert unigram_entropy(heldout) == pytest.approx(np.log(WORDS * SOUNDS), abs=0.1)
    assert right < unigram_entropy(heldout) - 0.5
    assert wrong > right + 0.05
