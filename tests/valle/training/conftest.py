"""Small things to train on, made without espeak."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
import torch

from valle.audio.builtin.network import CodecShape
from valle.audio.builtin.pitch import HOP
from valle.training.codec_data import CodecData
from valle.training.codec_training import CodecRecipe
from valle.training.corpus import Corpus
from valle.training.model_recipe import ModelRecipe
from valle.training.speech import SpeechShard


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """The training lets the processor round denormals to nought as well, which no other test expects."""
    torch.set_num_threads(1)
    yield
    torch.set_flush_denormal(False)


@pytest.fixture
def codec_recipe() -> CodecRecipe:
    shape = CodecShape(width=16, latent=8, pitch_width=8, encoder_blocks=1, decoder_blocks=1, size=16)
    return CodecRecipe(batch=2, quantiser_start=2, shape=shape)


@pytest.fixture
def codec_data() -> CodecData:
    random = np.random.default_rng(0)
    lengths = [90, 120, 100]
    frames = sum(lengths)
    return CodecData(
        wave=random.integers(-4000, 4000, frames * HOP).astype(np.int16),
        pitch=random.uniform(90, 200, frames).astype(np.float32),
        voicing=(random.random(frames) < 0.6).astype(np.float32),
        phonemes=random.integers(0, 4, frames).astype(np.int16),
        starts=np.cumsum([0, *lengths]),
        symbols=("", "a", "b", "c"),
    )


def speech_shard(count: int, seed: int = 0) -> SpeechShard:
    random = np.random.default_rng(seed)
    lengths = random.integers(30, 60, count)
    texts = random.integers(5, 12, count)
    alignment = np.concatenate(
        [np.sort(random.integers(1, n - 1, t)) for t, n in zip(lengths, texts, strict=True)]
    )
    return SpeechShard(
        codes=random.integers(0, 1024, (lengths.sum(), 8)).astype(np.int16),
        starts=np.cumsum([0, *lengths]),
        ids=np.concatenate([[1, *random.integers(4, 50, n - 2), 2] for n in texts]).astype(np.int16),
        id_starts=np.cumsum([0, *texts]),
        alignment=alignment.astype(np.int16),
        speakers=random.integers(0, 3, count).astype(np.int16),
        rates=random.integers(140, 200, count).astype(np.int16),
    )


@pytest.fixture
def corpus() -> Corpus:
    made = Corpus()
    made.add(speech_shard(24))
    return made


@pytest.fixture
def model_recipe() -> ModelRecipe:
    return ModelRecipe(dim=16, layers=3, heads=2, budget=500, hearing_layers=(1,))
