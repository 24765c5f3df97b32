"""Training an adapter: only its weights move, it learns, it resumes to the same, it is stored alone."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.valle.training.conftest import speech_shard
from valle.errors import UserError
from valle.models.adapters import AdapterShape, Form, load, save
from valle.models.ar_nar import ArNar
from valle.models.config import ModelConfig
from valle.training.__main__ import run
from valle.training.adapter_training import AdapterRecipe, AdapterTrainer
from valle.training.corpus import Corpus

SHAPE = AdapterShape(rank=4, alpha=16.0)


def trainer(form: Form = "parametrize", shape: AdapterShape = SHAPE) -> AdapterTrainer:
    torch.manual_seed(0)
    model = ArNar(ModelConfig(dim=32, layers=2, heads=2, ffn=64, languages=1))
    corpus = Corpus()
    shard = speech_shard(12)
    corpus.add(replace(shard, codes=shard.codes % 3))
    recipe = AdapterRecipe(shape, form, rate=2e-2, budget=200)
    return AdapterTrainer(model, recipe, corpus, "voice", "a" * 64)


@pytest.mark.parametrize("form", ["parametrize", "linear"])
def test_only_the_adapter_is_trained_and_it_learns(form: Form, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("valle.training.adapter_training.MEASURED", 2)
    made = trainer(form)
    frozen = {name: weight.clone() for name, weight in made.model.named_parameters() if "lora_" not in name}
    held = {id(weight) for group in made.optimizer.param_groups for weight in group["params"]}
    assert held == {id(weight) for name, weight in made.model.named_parameters() if "lora_" in name}
    before = made.held_out(made.corpus, 0.0)
    losses = [made.train_step(1.0)[1] for _ in range(14)]
    after = made.held_out(made.corpus, 1.0)
    assert np.mean(losses[-4:]) < np.mean(losses[:4]) - 0.1
    assert after["ar"] < before["ar"] - 0.05
    assert set(before) == {"ar", "ar_prompted", "nar", "nar_prompted"}
    assert made.held_out(made.corpus, 0.0) == before
    for name, weight in made.model.named_parameters():
        if "lora_" not in name:
            assert torch.equal(weight, frozen[name]) and weight.grad is None


def test_a_resumed_run_comes_to_the_same() -> None:
    whole, first, second = trainer(), trainer(), trainer()
    for _ in range(6):
        whole.train_step(1.0)
    for _ in range(3):
        first.train_step(1.0)
    second.restore({**first.state(), "step": first.step})
    for _ in range(3):
        second.train_step(1.0)
    for one, other in zip(whole.weights, second.weights, strict=True):
        assert torch.equal(one, other)
    with pytest.raises(UserError, match="adapter of another shape"):
        trainer(shape=AdapterShape(rank=2)).restore({**first.state(), "step": 3})


def test_what_was_trained_is_what_is_stored(tmp_path: Path) -> None:
    made = trainer(shape=AdapterShape(rank=2, phases=("nar",)))
    assert {made.train_step(1.0)[0].value for _ in range(4)} == {"nar"}
    stored = save(tmp_path / "voice.safetensors", made.adapter, torch.float32)
    assert (stored.steps, stored.model, stored.shape) == (4, "a" * 64, made.recipe.shape)
    for layer, matrices in load(tmp_path / "voice.safetensors").layers.items():
        assert torch.equal(matrices.up, made.attached.layers("voice")[layer].up)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--rank", "0"], "rank of an adapter must be from 1"),
        (["--phases", "len"], "must be ar, nar or both"),
        (["--modules", ""], "needs modules"),
        (["--steps", "0"], "must be above 0"),
        (["--without-voice", "1"], "from 0 to 0.95"),
        (["--out", "none/here.safetensors"], "there is no folder none"),
        ([], "holds no sound file"),
    ],
)
def test_bad_input(tmp_path: Path, arguments: list[str], said: str) -> None:
    with pytest.raises(UserError, match=said):
        run(["--folder", str(tmp_path / "runs"), "adapter", str(tmp_path), *arguments])
