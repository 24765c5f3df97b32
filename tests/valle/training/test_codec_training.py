"""The codec's training: it learns, it resumes, its quantiser does what it says."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from valle.audio.builtin.network import CodecShape
from valle.training.codec_data import CodecData
from valle.training.codec_losses import SpectralLoss
from valle.training.codec_training import CodecRecipe, CodecTrainer
from valle.training.quantiser import TrainedQuantiser, k_means, nearest
from valle.training.runs import Run, Schedule, train


def test_a_run_that_was_stopped_goes_on_as_if_it_had_not_been(
    codec_data: CodecData, codec_recipe: CodecRecipe, tmp_path: Path
) -> None:
    whole = CodecTrainer(codec_data, codec_recipe)
    expected = [whole.train_step(1.0) for _ in range(4)]
    first = CodecTrainer(codec_data, codec_recipe)
    train(first, Run(tmp_path), Schedule(warmup=1, decay_start=2, decay_steps=1))
    state = Run(tmp_path).load()
    assert state is not None
    second = CodecTrainer(codec_data, codec_recipe)
    second.restore(state)
    assert second.step == 3

    third = CodecTrainer(codec_data, codec_recipe)
    for _ in range(3):
        third.train_step(1.0)
    fourth = CodecTrainer(codec_data, codec_recipe)
    Run(tmp_path / "third").save(third.state(), Schedule(), third.step)
    fourth.restore(Run(tmp_path / "third").load() or {})
    assert fourth.train_step(1.0) == expected[3]


def test_training_lowers_the_loss(codec_data: CodecData, codec_recipe: CodecRecipe) -> None:
    trainer = CodecTrainer(codec_data, codec_recipe)
    losses = [trainer.train_step(1.0)["mel"] for _ in range(25)]
    assert np.mean(losses[-8:]) < 0.97 * np.mean(losses[:3])


def test_a_frozen_codec_learns_to_decode_and_keeps_its_codes(
    codec_data: CodecData, codec_recipe: CodecRecipe
) -> None:
    trained = CodecTrainer(codec_data, codec_recipe)
    for _ in range(4):
        trained.train_step(1.0)
    trainer = CodecTrainer(codec_data, replace(codec_recipe, frozen=True))
    trainer.adopt(trained.network)
    losses = [trainer.train_step(1.0)["mel"] for _ in range(20)]
    assert np.mean(losses[-6:]) < np.mean(losses[:3])
    before, after = trained.network.state_dict(), trainer.network.state_dict()
    changed = {name.split(".")[0] for name in before if not torch.equal(before[name], after[name])}
    assert changed == {"decoder", "pitch_reader"}


def test_spectral_loss_is_nought_for_the_same_wave_and_does_not_see_phase() -> None:
    torch.manual_seed(0)
    loss = SpectralLoss()
    wave = torch.randn(1, 9600)
    other = torch.randn(1, 9600)
    assert all(part.item() == 0 for part in loss(wave, wave))
    assert sum(part.item() for part in loss(-wave, wave)) < 1e-4
    assert sum(part.item() for part in loss(other, wave)) > 0.3


def test_k_means_finds_the_clusters() -> None:
    generator = torch.Generator().manual_seed(1)
    centres = 10 * torch.randn(5, 3, generator=generator)
    vectors = centres.repeat_interleave(40, 0) + 0.01 * torch.randn(200, 3, generator=generator)
    found, index, counts = k_means(vectors, 40, generator)
    assert counts.sum() == 200
    assert (found[index] - vectors).norm(dim=1).max() < 0.1


def test_quantiser_passes_gradients_through_once_and_revives_dead_codes() -> None:
    torch.manual_seed(0)
    shape = CodecShape(levels=3, size=4, latent=2)
    books = torch.zeros(3, 4, 2)
    books[:, 1:] = 1000.0
    quantiser = TrainedQuantiser(books, shape)
    quantiser.counts[:, 1:] = 0.01
    latents = torch.randn(1, 10, 2, requires_grad=True)
    made, first, commitment = quantiser(latents, 3, torch.Generator().manual_seed(0))
    made.sum().backward()
    assert latents.grad is not None
    torch.testing.assert_close(latents.grad, torch.ones_like(latents))
    assert books.abs().max() < 100
    assert commitment.item() > 0
    assert first.shape == made.shape == latents.shape


def test_nearest_is_the_nearest() -> None:
    torch.manual_seed(2)
    vectors, book = torch.randn(20, 4), torch.randn(6, 4)
    assert torch.equal(nearest(vectors, book), torch.cdist(vectors, book).argmin(1))
