"""Training to be left early: what is left out, what early layers are asked, and that it helps them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from tests.valle.training.conftest import speech_shard
from valle.errors import UserError
from valle.training.corpus import Corpus, Kind, Mix
from valle.training.layer_skip import early_weight, left_out, skipping
from valle.training.model_recipe import ModelRecipe
from valle.training.model_training import ModelTrainer

SMALL = ModelRecipe(
    dim=32,
    layers=4,
    heads=2,
    budget=200,
    batches=1,
    other_rate=0.02,
    guide_weight=0.0,
    precision="float32",
    mix=Mix(kinds=(1, 0, 0, 0, 0)),
)
SKIPS = replace(SMALL, layer_dropout=0.3, early_exit=1.0)


def trainer(recipe: ModelRecipe) -> ModelTrainer:
    shard, corpus = speech_shard(12), Corpus()
    corpus.add(replace(shard, codes=shard.codes % 3))
    return ModelTrainer(recipe, corpus)


def test_the_schedules_are_those_of_the_paper() -> None:
    assert [left_out(layer, 4, 0.3) for layer in (0, 3)] == pytest.approx([0, 0.3])
    assert left_out(1, 3, 0.1) == pytest.approx(0.1 * (2**0.5 - 1))
    assert early_weight(1, 4, 1.0) == 0, "e(0) is nought"
    assert early_weight(3, 4, 0.5) == pytest.approx(1.5 / (1.5 + 3 + 1.5))


def test_a_row_whose_layers_are_left_out_passes_them_by() -> None:
    made = trainer(SKIPS)
    batch = made.corpus.batch(Kind.AR, made.mix, 200, np.random.default_rng(0))
    layouts = made.model.layouts(batch.rows, growing=True)
    layers = made.model.model.layers
    seen = []
    watch = layers[3].register_forward_hook(lambda _module, inputs, output: seen.append((inputs[0], output)))
    with skipping(layers, layouts, 1.0, 0.0) as early:
        made.model.loss(batch.rows, batch.targets)
    watch.remove()
    assert early is None
    ((before, after),) = seen
    assert torch.equal(before, after), "at a dropout of 1 the last layer is always left out"
    with skipping(layers, layouts, 0.0, 1.0) as early:
        losses = made.model.loss(batch.rows, batch.targets)
    assert early is not None and 1 <= early.layer <= 3
    assert torch.equal(losses.cross_entropy, made.model.loss(batch.rows, batch.targets).cross_entropy)
    assert not any(layer._forward_hooks for layer in layers)


def test_an_early_layer_is_asked_as_the_last_one_of_a_shallow_model() -> None:
    made = trainer(replace(SMALL, early_exit=1.0))
    batch = made.corpus.batch(Kind.AR, made.mix, 300, np.random.default_rng(1))
    layouts = made.model.layouts(batch.rows, growing=True)
    layers = made.model.model.layers
    with skipping(layers, layouts, 0.0, 1.0) as early:
        pass
    assert early is not None
    parts = made.losses(batch)
    parts.early.backward()
    for layer, block in enumerate(layers):
        assert (block.mlp.up_proj.weight.grad is None) == (layer >= early.layer)
    weight = early_weight(early.layer, 4, 1.0)
    assert parts.total.item() == pytest.approx(
        (1 - weight) * parts.answer.item() + weight * parts.early.item(), rel=1e-5
    )
    made.model.model.layers = layers[: early.layer]
    assert float(made.model.loss(batch.rows, batch.targets).mean) == pytest.approx(
        float(parts.early), abs=1e-5
    )


def test_a_resumed_run_leaves_the_same_out() -> None:
    whole, first, second = trainer(SKIPS), trainer(SKIPS), trainer(SKIPS)
    results = [whole.train_step(1.0) for _ in range(3)]
    first.train_step(1.0)
    second.restore({**first.state(), "step": first.step})
    assert [second.train_step(1.0), second.train_step(1.0)] == results[1:]
    assert any(each.early for step in results for each in step)


def test_what_cannot_be() -> None:
    with pytest.raises(UserError, match=r"layer_dropout is 1.5, it must be from 0 to 1"):
        replace(SMALL, layer_dropout=1.5)
    with pytest.raises(UserError, match="retnet has no layers that can be left early"):
        replace(SMALL, architecture="retnet", early_exit=0.5)
