"""Cutting and levelling."""

import numpy as np
import pytest

from valle.audio import edit
from valle.errors import UserError

RATE = 24_000


def speech_between_silence() -> np.ndarray:
    noise = np.random.default_rng(1).normal(0, 0.1, RATE).astype(np.float32)
    quiet = np.random.default_rng(2).normal(0, 1e-4, RATE).astype(np.float32)
    return np.concatenate([quiet, noise, quiet])


def test_trimming_keeps_the_speech_and_a_margin() -> None:
    trimmed = edit.trim_silence(speech_between_silence(), keep_seconds=0.05)
    assert len(trimmed) == pytest.approx(1.1 * RATE, abs=0.02 * RATE)
    assert len(edit.trim_silence(np.zeros(RATE, np.float32))) == 0
    assert len(edit.trim_silence(np.zeros(0, np.float32))) == 0


def test_trimming_does_not_look_inside() -> None:
    loud = np.full(RATE, 0.5, np.float32)
    wave = np.concatenate([loud, np.zeros(RATE, np.float32), loud])
    assert len(edit.trim_silence(wave)) == 3 * RATE


def test_loudness_of_a_full_scale_sine_is_minus_three_decibels() -> None:
    sine = np.sin(2 * np.pi * 100 * np.arange(RATE) / RATE).astype(np.float32)
    assert edit.loudness(sine) == pytest.approx(-3.0103, abs=1e-3)
    assert edit.loudness(np.zeros(10, np.float32)) == float("-inf")
    levelled = edit.normalize(sine, level_db=-20.0)
    assert edit.loudness(levelled) == pytest.approx(-20.0, abs=1e-3) and levelled.dtype == np.float32


def test_normalizing_never_exceeds_the_peak() -> None:
    click = np.zeros(RATE, np.float32)
    click[5] = 0.1
    assert np.abs(edit.normalize(click, level_db=-10.0)).max() == pytest.approx(0.95, abs=1e-6)


def test_a_window_outside_the_recording_is_refused() -> None:
    wave = np.arange(2 * RATE, dtype=np.float32)
    assert np.array_equal(edit.window(wave, 0.5, 1.0), wave[12_000:36_000])
    assert len(edit.window(wave, 1.5, 9.0)) == RATE // 2
    for start, seconds in [(-0.1, 1.0), (2.0, 1.0), (0.0, 0.0)]:
        with pytest.raises(UserError, match=r"2\.00 s"):
            edit.window(wave, start, seconds)


def test_levels_of_frames_are_root_mean_squares() -> None:
    wave = np.concatenate([np.full(240, 0.5, np.float32), np.full(100, -0.25, np.float32)])
    assert edit.frame_levels(wave).tolist() == pytest.approx([0.5, 0.25])
