"""Measures of takes whose answers are known because they were made to be."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from valle_lab import metrics

RATE = 24_000


def buzz(frequency: float | np.ndarray, seconds: float) -> np.ndarray:
    """A voice-like sound: ten harmonics of a fundamental."""
    phase = 2 * np.pi * np.cumsum(np.broadcast_to(frequency, round(seconds * RATE))) / RATE
    return (0.1 * sum(np.sin(k * phase) / k for k in range(1, 11))).astype(np.float32)


@given(st.lists(st.integers(0, 4), max_size=80))
def test_longest_run_and_distinct_against_the_obvious_way(codes: list[int]) -> None:
    found = metrics.repetition(np.array(codes, np.int16))
    runs = [len(list(group)) for _, group in itertools.groupby(codes)]
    assert found.longest_run == max(runs, default=0)
    assert found.distinct == pytest.approx(len(set(codes)) / len(codes) if codes else 0.0)


@given(st.lists(st.integers(0, 2), max_size=120))
def test_repeated_against_the_obvious_way(codes: list[int]) -> None:
    grams = [tuple(codes[place : place + 3]) for place in range(len(codes) - 2)]
    repeats = [gram in grams[max(0, place - 75) : max(0, place - 2)] for place, gram in enumerate(grams)]
    expected = sum(repeats) / len(grams) if grams else 0.0
    assert metrics.repetition(np.array(codes, np.int16)).repeated == pytest.approx(expected)


def test_a_loop_repeats_and_noise_does_not() -> None:
    loop = np.tile(np.arange(20, dtype=np.int16), 10)
    noise = np.random.default_rng(0).integers(0, 1024, 200).astype(np.int16)
    assert metrics.repetition(loop).repeated > 0.85
    assert metrics.repetition(noise).repeated < 0.02


def test_silence_is_where_it_was_put() -> None:
    quiet = np.zeros(RATE, np.float32)
    wave = np.concatenate([quiet[:12_000], buzz(120, 1.0), quiet, buzz(120, 0.5), quiet[:7_200]])
    found = metrics.silence(wave)
    assert found.leading == pytest.approx(0.5, abs=0.011)
    assert found.longest_inner == pytest.approx(1.0, abs=0.021)
    assert found.trailing == pytest.approx(0.3, abs=0.011)
    assert found.ratio == pytest.approx(1.8 / 3.3, abs=0.01)


def test_all_silence_and_no_wave() -> None:
    assert metrics.silence(np.zeros(RATE, np.float32)) == metrics.Silence(1.0, 1.0, 0.0, 0.0)
    assert metrics.silence(np.zeros(0, np.float32)) == metrics.Silence(1.0, 0.0, 0.0, 0.0)


def test_pitch_of_a_steady_and_of_a_swinging_voice() -> None:
    steady = metrics.pitch(buzz(150.0, 2.0))
    assert steady.median == pytest.approx(150.0, rel=0.01) and steady.deviation < 0.1
    assert steady.voiced_ratio > 0.95
    semitones = 3 * np.sin(2 * np.pi * np.arange(4 * RATE) / RATE)
    swinging = metrics.pitch(buzz(200.0 * 2 ** (semitones / 12), 4.0))
    assert swinging.deviation == pytest.approx(3 / math.sqrt(2), rel=0.1)
    assert swinging.lowest == pytest.approx(200 * 2 ** (-3 / 12), rel=0.03)
    assert swinging.highest == pytest.approx(200 * 2 ** (3 / 12), rel=0.03)


def test_noise_has_no_pitch() -> None:
    noise = np.random.default_rng(3).normal(0, 0.1, RATE).astype(np.float32)
    assert metrics.pitch(noise).voiced_ratio < 0.2
    assert metrics.pitch(np.zeros(RATE, np.float32)) == metrics.Pitch(0.0, 0.0, 0.0, 0.0, 0.0)
    assert metrics.pitch(np.zeros(0, np.float32)) == metrics.Pitch(0.0, 0.0, 0.0, 0.0, 0.0)


def test_phoneme_letters_are_counted_and_marks_are_not() -> None:
    assert metrics.phoneme_count("həlˈoʊ, wˈɜːld!") == 9
    assert metrics.phoneme_count("... ˈ ː 5") == 0


def test_all_measures_of_a_take() -> None:
    wave = buzz(150.0, 2.0)
    wave[:24] = 1.0
    codes = np.random.default_rng(4).integers(0, 1024, (150, 8)).astype(np.int16)
    found = metrics.measure(codes, wave, "həlˈoʊ wˈɜːld", "stop")
    assert (found.stop, found.frames, found.seconds, found.phonemes) == ("stop", 150, 2.0, 9)
    assert found.frames_per_phoneme == pytest.approx(150 / 9)
    assert found.clipped == pytest.approx(24 / 48_000)
    assert found.loudness == pytest.approx(
        20 * math.log10(float(np.sqrt(np.mean(np.square(wave))))), abs=0.01
    )


def test_a_take_that_was_cancelled_at_once_has_measures_too() -> None:
    found = metrics.measure(np.zeros((0, 1), np.int16), np.zeros(0, np.float32), "", "cancel")
    assert found.frames_per_phoneme == 0.0 and found.repetition.longest_run == 0
    assert found.loudness == float("-inf") and found.clipped == 0.0
