"""The measures of the built-in voice, against plain computations."""

from __future__ import annotations

import numpy as np
import pytest

from valle.training.measures import (
    harmonics_to_noise,
    intelligibility,
    log_mel,
    pitch_error,
    voice_print,
    warped_distances,
)
from valle.training.voice_ear import VoiceEar

SECONDS = np.arange(36000) / 24000


def tone(hertz: float, noise: float = 0.0, seed: int = 0) -> np.ndarray:
    harmonics = sum(np.sin(2 * np.pi * hertz * k * SECONDS) / k for k in range(1, 9))
    wave = 0.1 * np.asarray(harmonics) + noise * np.random.default_rng(seed).normal(0, 1, len(SECONDS))
    return wave.astype(np.float32)


def plain_distance(query: np.ndarray, reference: np.ndarray) -> float:
    rows, columns = len(query), len(reference)
    total = np.full((rows + 1, columns + 1), np.inf)
    total[0, 0] = 0
    for i in range(rows):
        for j in range(columns):
            cost = float(np.linalg.norm(query[i] - reference[j]))
            total[i + 1, j + 1] = min(total[i, j + 1] + cost, total[i + 1, j] + cost, total[i, j] + 2 * cost)
    return float(total[-1, -1]) / (rows + columns)


def test_warped_distances_are_those_of_the_plain_recursion() -> None:
    random = np.random.default_rng(5)
    query = random.normal(size=(9, 3)).astype(np.float32)
    references = [random.normal(size=(length, 3)).astype(np.float32) for length in (4, 9, 15, 1)]
    expected = [plain_distance(query, reference) for reference in references]
    np.testing.assert_allclose(warped_distances(query, references), expected, rtol=1e-4)


def test_a_stretched_utterance_is_nearer_than_another() -> None:
    random = np.random.default_rng(6)
    utterance, other = random.normal(size=(2, 40, 5)).astype(np.float32)
    stretched = np.repeat(utterance, 2, axis=0)
    near, far = warped_distances(stretched, [utterance, other])
    assert near == pytest.approx(0.0, abs=1e-2)
    assert far > 1.0


def test_harmonics_to_noise_is_the_ratio_of_what_was_mixed() -> None:
    noise = 0.02
    clean = tone(150.0)
    mixed = tone(150.0, noise)
    true = 10 * np.log10(clean.var() / noise**2)
    assert harmonics_to_noise(mixed) == pytest.approx(true, abs=1.5)
    assert harmonics_to_noise(clean) > 25


def test_pitch_error_is_in_cents() -> None:
    cents, alike = pitch_error(tone(200.0), tone(200.0 * 2 ** (30 / 1200)))
    assert cents == pytest.approx(30, abs=3)
    assert alike > 0.95


def test_intelligibility_falls_with_noise() -> None:
    speech = tone(120.0) * (1 + np.sin(2 * np.pi * 4 * SECONDS)).astype(np.float32)
    noisy = speech + tone(0.0, 0.3, seed=1)
    assert intelligibility(speech, speech) > 0.99
    assert intelligibility(noisy, speech) < 0.9


def test_log_mel_leaves_the_level_out() -> None:
    quiet, loud = log_mel(tone(150.0, 0.05)), log_mel(3 * tone(150.0, 0.05))
    assert quiet.shape == (len(SECONDS) // 320, 40)
    np.testing.assert_allclose(quiet.mean(0), 0, atol=1e-4)
    assert np.abs(quiet - loud).mean() < 0.05


def test_voice_prints_tell_pitches_apart() -> None:
    low, same, high = (
        voice_print(tone(hertz, 0.002, seed)) for hertz, seed in ((100, 1), (101, 2), (220, 3))
    )
    assert np.linalg.norm(low - same) < np.linalg.norm(low - high)


def test_an_ear_that_knows_voices_hears_past_what_differs_from_sentence_to_sentence() -> None:
    """Two voices that differ in pitch alone, with noise that changes every spectrum far more."""
    noises = (0.002, 0.03, 0.06, 0.1)
    low, high = ([tone(hertz, noise, k) for k, noise in enumerate(noises)] for hertz in (118, 126))
    ear = VoiceEar([low, high])
    heard = [ear.nearest(tone(hertz, noise, 9)) for hertz in (118, 126) for noise in (0.01, 0.05, 0.08)]
    assert heard == [0, 0, 0, 1, 1, 1]
    single = [voice_print(waves[0]) for waves in (low, high)]
    noisy = voice_print(tone(126, 0.1, 9))
    spectra = [np.linalg.norm((each - noisy)[:-1]) for each in single]
    assert min(spectra) > 10 * abs(single[0][-1] - single[1][-1])
