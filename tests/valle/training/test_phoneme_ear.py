"""The ear and the envelopes that the decoder is trained by."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from valle.audio.builtin.pitch import HOP, SAMPLE_RATE
from valle.training.codec_data import CodecData
from valle.training.codec_losses import EnvelopeLoss, third_octaves
from valle.training.codec_training import CodecRecipe, CodecTrainer
from valle.training.measures import intelligibility
from valle.training.phoneme_ear import FRAMES, phoneme_ear, train_phoneme_ear


def two_tones() -> CodecData:
    """Utterances in which phoneme 1 is a low tone and phoneme 2 a high one, each of 15 frames."""
    frames = 300
    phonemes = np.tile(np.repeat(np.array([1, 2], np.int16), 15), frames // 30)
    time = np.arange(frames * HOP) / SAMPLE_RATE
    high = np.repeat(phonemes == 2, HOP)
    wave = 8000 * np.where(high, np.sin(2 * np.pi * 2000 * time), np.sin(2 * np.pi * 300 * time))
    ones = np.ones(frames, np.float32)
    return CodecData(
        wave.astype(np.int16), 120 * ones, ones, phonemes, np.array([0, 150, 300]), ("", "low", "high")
    )


def test_the_ear_learns_to_tell_phonemes_and_is_kept(tmp_path: Path) -> None:
    data = two_tones()
    ear = phoneme_ear(tmp_path / "ear.pt", data, steps=40)
    wave = torch.from_numpy(data.wave[None, : FRAMES * HOP].astype(np.float32) / 32768)
    _, scores = ear(wave)
    right = scores[0].argmax(-1).numpy() == data.phonemes[:FRAMES]
    assert right.mean() > 0.85, "but for frames in which one phoneme gives way to the other"
    again = phoneme_ear(tmp_path / "ear.pt", data, steps=0)
    assert torch.equal(again(wave)[1], scores)


def test_the_difference_is_none_for_the_same_sound_and_grows_with_what_is_changed() -> None:
    data = two_tones()
    ear = train_phoneme_ear(data, steps=30)
    true = torch.from_numpy(data.wave[None, : FRAMES * HOP].astype(np.float32) / 32768)
    hiss = torch.randn(true.shape, generator=torch.Generator().manual_seed(0))
    assert ear.difference(true, true).item() == pytest.approx(0, abs=1e-5)
    little, much = (ear.difference(true + loud * hiss, true).item() for loud in (0.003, 0.1))
    assert 0 < little < much


def test_the_decoder_learns_from_the_ear_and_the_ear_stays(
    codec_data: CodecData, codec_recipe: CodecRecipe
) -> None:
    ear = train_phoneme_ear(codec_data, steps=2)
    before = {name: value.clone() for name, value in ear.state_dict().items()}
    recipe = replace(codec_recipe, frozen=True)
    with_ear, without = CodecTrainer(codec_data, recipe, ear), CodecTrainer(codec_data, recipe)
    assert with_ear.train_step(1.0)["ear"] > 0
    assert without.train_step(1.0)["ear"] == 0
    weights = [trainer.network.decoder.last.weight for trainer in (with_ear, without)]
    assert not torch.equal(*weights)
    assert all(torch.equal(before[name], value) for name, value in ear.state_dict().items())


def speech_like(seconds: float = 1.5) -> np.ndarray:
    """Noise whose loudness changes several times a second."""
    random = np.random.default_rng(0)
    count = int(seconds * SAMPLE_RATE)
    places = np.arange(0, count, 1500)
    loudness = np.interp(np.arange(count), places, random.random(len(places)) ** 2)
    return (0.3 * loudness * random.standard_normal(count)).astype(np.float32)


def test_the_envelopes_of_a_louder_copy_are_the_same() -> None:
    wave = torch.from_numpy(speech_like())[None]
    loss = EnvelopeLoss()
    assert loss(wave, wave).item() == pytest.approx(0, abs=1e-4)
    assert loss(2 * wave, wave).item() == pytest.approx(0, abs=1e-3)


def test_the_envelopes_are_as_wrong_as_stoi_says() -> None:
    """With noise of five strengths, 1 less the loss is near to what pystoi gives, which clips besides."""
    true = speech_like()
    hiss = np.random.default_rng(1).standard_normal(len(true)).astype(np.float32)
    loss = EnvelopeLoss()
    for loud in (0.003, 0.01, 0.03, 0.06, 0.1):
        noisy = true + loud * hiss
        ours = 1 - loss(torch.from_numpy(noisy)[None], torch.from_numpy(true)[None]).item()
        assert ours == pytest.approx(intelligibility(noisy, true), abs=0.06)


def test_the_bands_are_thirds_of_an_octave() -> None:
    bands = third_octaves(24001)  # one bin is half a hertz
    assert bands.sum(1).max() == 1
    widths = bands.sum(0) / 2
    centres = 150 * 2 ** (np.arange(15) / 3)
    np.testing.assert_allclose(widths, centres * (2 ** (1 / 6) - 2 ** (-1 / 6)), atol=1)
