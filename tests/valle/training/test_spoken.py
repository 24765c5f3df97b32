"""What a model makes of true codes, and a decoder that learns from it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch

from valle.audio.builtin.pitch import HOP
from valle.models.ar_nar import ArNar
from valle.models.base import Inputs
from valle.training.codec_data import CodecData
from valle.training.codec_training import CodecRecipe, CodecTrainer
from valle.training.corpus import Corpus
from valle.training.model_recipe import ModelRecipe
from valle.training.speech import RenderedShard
from valle.training.spoken import TEMPERATURE, TOP_P, spoken_codes, spoken_data

from .conftest import speech_shard


def test_level_0_is_the_true_one_and_each_other_the_likeliest_given_those_below(
    corpus: Corpus, model_recipe: ModelRecipe
) -> None:
    torch.manual_seed(3)
    model = ArNar(model_recipe.config()).eval()
    made = dict(spoken_codes(model, corpus, 5, drawn=0.0))
    assert sorted(made) == [0, 1, 2, 3, 4]
    alone = Corpus()
    alone.add(replace(speech_shard(24), speakers=np.arange(24, dtype=np.int16)))
    for index, codes in spoken_codes(model, alone, 5, drawn=0.0):  # nobody has another utterance: no prompts
        own = corpus[index]
        assert np.array_equal(codes[:, 0], own.codes[:, 0])
        for level in (1, 4, 7):
            row = Inputs(
                phonemes=torch.from_numpy(own.ids.astype(np.int64)),
                language=0,
                level=level,
                response=torch.from_numpy(codes[:, :level].astype(np.int64)),
            )
            assert torch.equal(model.full([row])[0].argmax(-1), torch.from_numpy(codes[:, level]).long())


def test_level_0_can_be_drawn_from_the_likely_codes_after_the_true_ones(
    corpus: Corpus, model_recipe: ModelRecipe
) -> None:
    torch.manual_seed(3)
    model = ArNar(model_recipe.config()).eval()
    alone = Corpus()
    alone.add(replace(speech_shard(24), speakers=np.arange(24, dtype=np.int16)))
    for index, codes in spoken_codes(model, alone, 5, drawn=1.0):
        own = corpus[index]
        assert not np.array_equal(codes[:, 0], own.codes[:, 0])
        row = Inputs(
            phonemes=torch.from_numpy(own.ids.astype(np.int64)),
            language=0,
            response=torch.from_numpy(own.codes[:, :1].astype(np.int64)),
        )
        odds = (model.full([row])[0][:-1, :1024] / TEMPERATURE).softmax(-1)
        drawn = odds.gather(-1, torch.from_numpy(codes[:, :1]).long())
        likelier = torch.where(odds > drawn, odds, 0.0).sum(-1)
        assert (likelier <= TOP_P).all()


def test_data_of_a_shard_has_its_sound_and_the_codes_of_the_model(model_recipe: ModelRecipe) -> None:
    encoded = speech_shard(6)
    frames = int(encoded.starts[-1])
    random = np.random.default_rng(0)
    rendered = RenderedShard(
        wave=random.integers(-900, 900, frames * HOP).astype(np.int16),
        pitch=np.full(frames, 120, np.float32),
        voicing=np.ones(frames, np.float32),
        starts=encoded.starts,
        ids=encoded.ids,
        id_starts=encoded.id_starts,
        alignment=encoded.alignment,
        speakers=encoded.speakers,
        rates=encoded.rates,
    )
    data = spoken_data(ArNar(model_recipe.config()).eval(), rendered, encoded, 4)
    assert data.spoken is not None
    end = int(encoded.starts[4])
    assert len(data.spoken) == len(data.pitch) == data.starts[-1] == end
    assert data.spoken.min() >= 0
    assert np.array_equal(data.wave, rendered.wave[: end * HOP])


def test_a_frozen_codec_hears_the_codes_of_the_model(
    codec_data: CodecData, codec_recipe: CodecRecipe
) -> None:
    """Joined data keeps each part's sound; crops of the second part are decoded from its codes."""
    frames = len(codec_data.pitch)
    spoken = np.full((frames, 8), 3, np.int16)
    joined = codec_data.joined(replace(codec_data, spoken=spoken))
    assert list(joined.starts) == [0, 90, 210, 310, 400, 520, 620]
    assert joined.spoken is not None
    assert (joined.spoken[:frames] == -1).all() and (joined.spoken[frames:] == 3).all()
    recipe = replace(codec_recipe, frozen=True, spoken=1.0, fewer_levels=0.0)
    given = []

    def note(_module: torch.nn.Module, inputs: tuple[torch.Tensor, ...]) -> None:
        given.append(inputs[0].detach().clone())

    trainer = CodecTrainer(replace(codec_data, spoken=spoken), recipe)
    trainer.network.codebooks.normal_()
    trainer.network.decoder.register_forward_pre_hook(note)
    trainer.train_step(1.0)
    expected = trainer.network.codebooks[:, 3].sum(0)
    torch.testing.assert_close(given[0], expected.expand_as(given[0]))
