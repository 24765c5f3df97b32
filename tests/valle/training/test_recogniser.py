"""The recogniser: what counts as a sound, distances, and that it learns."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from valle.audio.builtin.pitch import HOP
from valle.text.tokens import Tokenizer
from valle.training.recogniser import Recogniser, edit_distance, load_recogniser, sounds
from valle.training.recogniser_training import Heard, RecogniserRecipe, RecogniserTrainer
from valle.training.runs import Run, Schedule, train

WORDS = st.lists(st.integers(0, 4), max_size=7)


@pytest.mark.parametrize(
    ("first", "second", "distance"),
    [("kitten", "sitting", 3), ("flaw", "lawn", 2), ("", "abc", 3), ("abc", "", 3), ("same", "same", 0)],
)
def test_distances_worked_by_hand(first: str, second: str, distance: int) -> None:
    assert edit_distance([ord(each) for each in first], [ord(each) for each in second]) == distance


@given(WORDS, WORDS, WORDS)
def test_it_is_a_distance(first: list[int], second: list[int], third: list[int]) -> None:
    there = edit_distance(first, second)
    assert there == edit_distance(second, first)
    assert (there == 0) == (first == second)
    assert there <= edit_distance(first, third) + edit_distance(third, second)
    assert abs(len(first) - len(second)) <= there <= max(len(first), len(second))


def test_stress_length_and_pauses_are_not_heard() -> None:
    tokenizer = Tokenizer.builtin()
    heard = sounds(tokenizer.encode("həlˈoʊ, wˈɜːld."))
    assert tokenizer.decode(heard) == "həloʊwɜld"


def tones(count: int) -> list[Heard]:
    """Utterances of a language of two vowels, a low and a high hum, with silence between."""
    random = np.random.default_rng(0)
    made = []
    for _ in range(count):
        symbols = [int(symbol) for symbol in random.integers(0, 2, 6)]
        frames = np.concatenate([[0] * 4 + [50 + symbol] * 8 for symbol in symbols])
        time = np.arange(len(frames) * HOP) / 24000
        pitch = np.repeat(np.where(frames == 50, 300.0, 2500.0), HOP)
        wave = np.sin(2 * np.pi * pitch * time) * np.repeat(frames > 0, HOP) * 8000
        made.append(Heard(wave.astype(np.int16), tuple(50 + symbol for symbol in symbols), frames))
    return made


def mean_error(recogniser: Recogniser, data: list[Heard]) -> float:
    rates = [recogniser.error_rate((each.wave / 32768).astype(np.float32), each.sounds) for each in data]
    return float(np.mean(rates))


def test_it_learns_a_small_language_and_is_kept(tmp_path: Path) -> None:
    torch.set_num_threads(1)
    data = tones(12)
    trainer = RecogniserTrainer(data, RecogniserRecipe(batch=4))
    train(trainer, Run(tmp_path), Schedule.over(100, 0.3, warmup=5))
    recogniser = load_recogniser(tmp_path / "state.pt")
    assert mean_error(recogniser, data) < 0.4 < 0.8 < mean_error(Recogniser(), data)
    wrong = recogniser.error_rate((data[0].wave / 32768).astype(np.float32), [60] * 6)
    assert wrong >= 1.0
    assert Recogniser().hear(np.zeros(0, np.float32)) == []
