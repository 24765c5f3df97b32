"""Loudness against the recommendation's own table, the meter's defining tone, and another implementation."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.signal import lfilter

from valle.audio.loudness import equally_loud, gated_loudness, weighting

RATE = 24_000


def tone(
    seconds: float, level_db: float = 0.0, hertz: float = 997.0, rate: int = RATE
) -> NDArray[np.float32]:
    time = np.arange(round(seconds * rate)) / rate
    return (10 ** (level_db / 20) * np.sin(2 * np.pi * hertz * time)).astype(np.float32)


def test_the_filters_at_48_khz_are_those_of_the_table() -> None:
    """ITU-R BS.1770-4, tables 1 and 2."""
    (shelf_in, shelf_out), (pass_in, pass_out) = weighting(48_000)
    assert shelf_in == pytest.approx([1.53512485958697, -2.69169618940638, 1.19839281085285], abs=1e-9)
    assert shelf_out == pytest.approx([1.0, -1.69065929318241, 0.73248077421585], abs=1e-9)
    assert pass_in == pytest.approx([1.0, -2.0, 1.0])
    assert pass_out == pytest.approx([1.0, -1.99004745483398, 0.99007225036621], abs=1e-9)


@pytest.mark.parametrize("rate", [16_000, 24_000, 48_000])
def test_a_full_tone_of_997_hz_is_at_minus_3_01(rate: int) -> None:
    assert gated_loudness(tone(3, rate=rate), rate) == pytest.approx(-3.01, abs=0.05)
    assert gated_loudness(tone(3, -20, rate=rate), rate) == pytest.approx(-23.01, abs=0.05)


def test_filtering_is_that_of_a_recursive_filter() -> None:
    noise = np.random.default_rng(0).standard_normal(RATE * 2).astype(np.float32) * 0.1
    weighted: NDArray[np.float64] = noise.astype(np.float64)
    for incoming, outgoing in weighting(RATE):
        weighted = lfilter(incoming, outgoing, weighted)
    size, step = round(0.4 * RATE), round(0.1 * RATE)
    powers = [np.mean(weighted[at : at + size] ** 2) for at in range(0, len(weighted) - size + 1, step)]
    assert gated_loudness(noise) == pytest.approx(-0.691 + 10 * np.log10(np.mean(powers)), abs=0.01)


def test_pauses_do_not_make_speech_quieter() -> None:
    """Blocks of silence fall under the absolute gate, quiet ones under the relative one."""
    loud = tone(4, -20)
    pause, murmur = np.zeros(8 * RATE, np.float32), tone(8, -45)
    assert gated_loudness(np.concatenate([loud, pause])) == pytest.approx(gated_loudness(loud), abs=0.3)
    assert gated_loudness(np.concatenate([loud, murmur])) == pytest.approx(gated_loudness(loud), abs=0.3)


def test_short_and_silent_waves_have_an_answer() -> None:
    assert gated_loudness(tone(0.1, -20)) == pytest.approx(-23, abs=1)
    assert gated_loudness(np.zeros(RATE, np.float32)) == -np.inf
    assert gated_loudness(np.zeros(0, np.float32)) == -np.inf
    assert gated_loudness(tone(1, -90)) == -np.inf


def test_waves_are_brought_to_the_quietest_and_never_above_full_scale() -> None:
    waves = [tone(1, 0), tone(2, -12, 300), tone(1.5, -6, 3000), np.zeros(RATE, np.float32)]
    matched = equally_loud(waves)
    levels = [gated_loudness(wave) for wave in matched]
    assert np.ptp(levels[:3]) < 0.01 and levels[0] == pytest.approx(min(map(gated_loudness, waves[:3])))
    assert all(np.abs(wave).max() <= 1 for wave in matched) and not matched[3].any()
    assert all(
        wave.dtype == np.float32 and len(wave) == len(old) for wave, old in zip(matched, waves, strict=True)
    )
    assert equally_loud([]) == []
