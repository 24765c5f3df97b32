"""The model's training: rows, batches, the guide, resuming."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.valle.training.conftest import speech_shard
from valle.training.aims import Aim, heard
from valle.training.corpus import Corpus, Kind, Mix, digits, laid_along, make_row
from valle.training.losses import Guide, missed
from valle.training.model_recipe import ModelRecipe
from valle.training.model_training import ModelTrainer, ShardSource
from valle.training.runs import Run, Schedule, train
from valle.training.speech import speech_path


def test_steps_are_a_function_of_seed_and_step(corpus: Corpus, model_recipe: ModelRecipe) -> None:
    first, second = (ModelTrainer(model_recipe, corpus) for _ in range(2))
    assert [first.train_step(1.0) for _ in range(3)] == [second.train_step(1.0) for _ in range(3)]


def test_a_resumed_run_has_the_same_losses(corpus: Corpus, model_recipe: ModelRecipe, tmp_path: Path) -> None:
    whole = ModelTrainer(model_recipe, corpus)
    for _ in range(3):
        whole.train_step(1.0)
    resumed = ModelTrainer(model_recipe, corpus)
    Run(tmp_path).save(whole.state(), Schedule(), whole.step)
    resumed.restore(Run(tmp_path).load() or {})
    assert [whole.train_step(0.5) for _ in range(2)] == [resumed.train_step(0.5) for _ in range(2)]


def test_every_kind_of_batch_has_a_loss_and_gradients(corpus: Corpus, model_recipe: ModelRecipe) -> None:
    trainer = ModelTrainer(model_recipe, corpus)
    for kind in Kind:
        batch = corpus.batch(kind, model_recipe.mix, model_recipe.budget, np.random.default_rng(1))
        parts = trainer.losses(batch)
        assert 0 < parts.answer.item() < 12
        assert 0 <= parts.accuracy.item() <= 1
        assert (parts.guide.item() > 0) == (kind is not Kind.LEN)
        assert parts.total.item() == pytest.approx(parts.answer.item() + parts.guide.item())
        parts.total.backward()
        gradient = trainer.model.model.layers[0].self_attn.q_proj.weight.grad
        assert gradient is not None
        assert gradient.abs().sum() > 0


def test_training_lowers_the_loss(model_recipe: ModelRecipe) -> None:
    corpus = Corpus()
    corpus.add(speech_shard(3))
    trainer = ModelTrainer(model_recipe, corpus)
    guides = [result.guide for _ in range(30) for result in trainer.train_step(1.0) if result.guide]
    assert np.mean(guides[-10:]) < np.mean(guides[:10])


def test_the_guide_wants_the_symbol_of_the_frame_that_a_row_predicts(
    corpus: Corpus, model_recipe: ModelRecipe
) -> None:
    trainer = ModelTrainer(model_recipe, corpus)
    row, _, aim = make_row(corpus[0], None, Kind.AR, Mix(without_both=0.0), np.random.default_rng(0))
    assert aim is not None and aim.segment == "phonemes"
    assert len(aim.starts) == len(corpus[0].codes) + 1
    assert aim.starts[0] == corpus[0].alignment[0]
    assert aim.starts[-1] == len(corpus[0].ids) - 1
    assert torch.equal(aim.stops, aim.starts + 1)
    layouts = trainer.model.layouts([row], growing=True)
    guide = Guide({"phonemes": (2, 4)}, layouts, [aim])
    width, count = 4, layouts[0].length
    key = torch.zeros(1, 2, count, width)
    query = torch.zeros(1, 2, count, width)
    guide.attention(1, query, key)
    assert guide.loss.item() == 0
    guide.attention(2, query, key)
    uniform = np.log(len(corpus[0].ids))
    assert guide.loss.item() == pytest.approx(uniform)
    guide.attention(4, query, key)
    assert guide.loss.item() == pytest.approx(2 * uniform)
    guide.attention(4, query, key)
    assert guide.loss.item() == pytest.approx(2 * uniform), "a block that is run again counts once"


def test_symbols_that_are_heard_look_at_their_frames_and_those_beside_them() -> None:
    aim = heard(np.array([1, 1, 1, 1, 3, 3, 3, 4], np.int16), symbols=5)
    assert aim is not None and aim.segment == "response"
    windows = list(zip(aim.starts.tolist(), aim.stops.tolist(), strict=True))
    assert windows == [(0, 2), (0, 6), (3, 6), (3, 8), (6, 8)]
    assert heard(None, symbols=5) is None


def test_what_a_query_misses_is_the_negative_logarithm_of_its_weight_on_what_it_is_to_see() -> None:
    query, key = torch.tensor([[2.0, 0.0]]), torch.tensor([[1.0, 0.0], [0.0, 1.0], [-1.0, 0.0]])
    weights = np.exp(np.array([2.0, 0.0, -2.0]) / np.sqrt(2.0))
    for start, stop in ((0, 1), (1, 3), (0, 3)):
        aim = Aim("response", torch.tensor([start]), torch.tensor([stop]))
        wanted = -np.log(weights[start:stop].sum() / weights.sum())
        assert missed(query, key, aim).item() == pytest.approx(wanted, abs=1e-6)


def test_rows_lose_their_conditions_as_often_as_the_mix_says(corpus: Corpus) -> None:
    random = np.random.default_rng(3)
    prompt = corpus[1].codes
    rows = [make_row(corpus[0], prompt, Kind.AR, Mix(), random)[0] for _ in range(600)]
    null = sum(row.phonemes is not None and row.phonemes.tolist() == [1, 2] for row in rows)
    voiceless = sum(row.prompt is None for row in rows)
    assert 30 < null < 95
    assert 80 < voiceless < 165
    assert all(row.prompt is None for row in rows if row.phonemes is not None and len(row.phonemes) == 2)


def test_a_past_that_is_hidden_is_asked_for_all_the_same(corpus: Corpus) -> None:
    random = np.random.default_rng(8)
    shares = []
    for _ in range(60):
        row, target, _ = make_row(corpus[3], None, Kind.AR, Mix(hidden=0.8), random)
        true = torch.from_numpy(corpus[3].codes[:, 0].astype(np.int64))
        assert row.response is not None
        assert target is not None
        hidden = row.response[:, 0] == 1024
        assert torch.equal(target, torch.cat([true, torch.tensor([1024])]))
        assert torch.equal(row.response[~hidden, 0], true[~hidden])
        shares.append(float(hidden.float().mean()))
    assert 0.1 < np.mean(shares) < 0.5
    row, _, _ = make_row(corpus[3], None, Kind.AR, Mix(hidden=0.0), random)
    assert row.response is not None
    assert int(row.response.max()) < 1024


def test_speech_in_another_voice_is_laid_along_by_its_symbols() -> None:
    own = np.array([0, 0, 0, 0, 1, 2, 2], np.int16)
    other = np.array([0, 0, 1, 1, 1, 2], np.int16)
    laid = laid_along(own, other)
    assert laid.tolist()[:4] == [0, 0, 1, 1], "four frames go along two"
    assert laid[4] == 3, "one frame goes along the middle of three"
    assert other[laid[5:]].tolist() == [2, 2]
    assert laid_along(own, own).tolist() == list(range(7))


def test_a_symbol_that_the_other_voice_skips_goes_along_its_neighbours() -> None:
    laid = laid_along(np.array([0, 1, 2, 3], np.int16), np.array([0, 0, 3, 3], np.int16))
    assert (np.diff(laid) >= 0).all()
    assert laid.max() <= 3


def two_voices_of_each_line() -> Corpus:
    first = speech_shard(4)
    corpus = Corpus()
    for turn in range(2):
        codes = (first.codes + 500 * turn) % 1024
        corpus.add(replace(first, codes=codes.astype(np.int16), speakers=np.full(4, turn, np.int16)))
    return corpus


def test_the_past_of_a_row_can_be_another_voice_saying_the_same() -> None:
    corpus, random = two_voices_of_each_line(), np.random.default_rng(1)
    own, other = corpus[2].codes, corpus[6].codes
    beginnings = []
    for _ in range(100):
        past = corpus.other_past(2, random)
        assert past is not None
        begin = int((past == own).all(1).sum())
        assert np.array_equal(past[begin:], other[begin:]), "alike alignments lay frame by frame"
        beginnings.append(begin)
    assert 30 < sum(begin == 0 for begin in beginnings) < 70
    assert max(beginnings) > len(own) / 2


def test_a_row_with_another_past_is_asked_for_its_own_codes() -> None:
    corpus, random = two_voices_of_each_line(), np.random.default_rng(1)
    mix = Mix(other_past=1.0, hidden=0.0, without_voice=0.0, without_both=0.0)
    batch = corpus.batch(Kind.AR, mix, 300, random)
    for row, target in zip(batch.rows, batch.targets, strict=True):
        assert row.response is not None
        assert target is not None
        differs = row.response[:, 0] != target[:-1]
        assert differs.any()
        apart = (row.response[differs, 0] - target[:-1][differs]).abs()
        assert set(apart.tolist()) <= {500, 1024 - 500}


def test_there_is_no_other_past_without_another_voice_or_without_a_voice_at_all(corpus: Corpus) -> None:
    random = np.random.default_rng(2)
    assert all(corpus.other_past(index, random) is None for index in range(len(corpus)))
    mix = Mix(hidden=0.0, without_voice=1.0, without_both=0.0)
    past = np.zeros_like(corpus[0].codes)
    row, _, _ = make_row(corpus[0], corpus[1].codes, Kind.AR, mix, random, past)
    assert row.response is not None
    assert row.response[:, 0].tolist() == corpus[0].codes[:, 0].tolist()


def test_masked_rows_ask_only_for_what_they_hide(corpus: Corpus) -> None:
    random = np.random.default_rng(4)
    for _ in range(20):
        row, target, _ = make_row(corpus[2], None, Kind.NAR_LEN, Mix(), random)
        assert row.response is not None
        assert target is not None
        hidden = row.response[:, 0] == 1024
        assert hidden.any()
        assert torch.equal(target >= 0, hidden)
        true = torch.from_numpy(corpus[2].codes[:, 0].astype(np.int64))
        assert torch.equal(torch.where(hidden, target, row.response[:, 0]), true)


def test_lengths_are_spelled_between_start_and_stop() -> None:
    assert digits(207) == [0, 2, 0, 7, 10]


def test_prompts_are_of_the_same_speaker_and_another_utterance(corpus: Corpus) -> None:
    random = np.random.default_rng(5)
    for index in range(len(corpus)):
        prompt = corpus.prompt(index, random)
        assert len(prompt) >= 30
        owners = [
            corpus[other].speaker
            for other in range(len(corpus))
            if any(
                np.array_equal(corpus[other].codes[k : k + 5], prompt[:5])
                for k in range(len(corpus[other].codes) - 4)
            )
        ]
        assert owners == [corpus[index].speaker]


def test_shards_come_by_step_and_are_waited_for(corpus: Corpus, tmp_path: Path) -> None:
    source = ShardSource(tmp_path, first=1, every=10, total=2)
    assert not source.fill(corpus, 0)
    speech_shard(4, seed=1).save(speech_path(tmp_path, 0))
    assert source.fill(corpus, 9)
    assert len(corpus) == 28
    assert not source.fill(corpus, 10)
    speech_shard(5, seed=2).save(speech_path(tmp_path, 1))
    assert source.fill(corpus, 30)
    assert len(corpus) == 33


def test_a_run_saves_its_end_and_its_metrics(model_recipe: ModelRecipe, tmp_path: Path) -> None:
    speech_shard(8).save(speech_path(tmp_path, 0))
    trainer = ModelTrainer(model_recipe, Corpus())
    run = Run(tmp_path / "run")
    shards = ShardSource(tmp_path, 1, 100, 1)
    train(trainer, run, Schedule.over(3, 0.5, warmup=2), 1, lambda step: shards.fill(trainer.corpus, step))
    state = run.load()
    assert state is not None
    assert state["step"] == 3
    assert len((tmp_path / "run" / "metrics.jsonl").read_text().splitlines()) == 3


def test_every_step_is_told_of_once(model_recipe: ModelRecipe, corpus: Corpus, tmp_path: Path) -> None:
    """Also those that end before a line was due, and what ends with a signal."""
    run, schedule = Run(tmp_path), Schedule.over(7, 0.5, warmup=2)
    trainer = ModelTrainer(model_recipe, corpus)

    def stop_at_4(step: int) -> bool:
        run.stop_asked = step == 3
        return True

    train(trainer, run, schedule, 3, stop_at_4)
    run.stop_asked = False
    train(trainer, run, schedule, 3)
    lines = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines] == [3, 4, 6, 7]


def test_schedules_go_by_steps() -> None:
    schedule = Schedule.over(1000, 0.2, warmup=10)
    assert schedule.last_step == 1000
    assert schedule.factor(0) == pytest.approx(0.1)
    assert schedule.factor(9) == schedule.factor(799) == 1.0
    assert schedule.factor(900) == pytest.approx(1 - 0.95 * 0.5)
    assert schedule.factor(1000) == pytest.approx(0.05)
    finishing = schedule.finishing(500, 0.1)
    assert finishing.last_step == 550
    assert finishing.factor(499) == 1.0
    adopted = Schedule.over(1000, 0.3, begin=12000).finishing(12400, 0.25)
    assert adopted.last_step == 12500, "a share of the run's own steps, not of those its weights had before"
    extended = finishing.extended(550, 100, 0.4)
    assert extended.last_step == 650
    assert extended.factor(550) == extended.factor(610) == 1.0
    assert extended.factor(630) == pytest.approx(1 - 0.95 * 0.5)
