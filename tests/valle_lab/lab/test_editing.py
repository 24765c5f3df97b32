"""Words that differ and sounds that differ, on cases worked by hand."""

from __future__ import annotations

import numpy as np

from valle.audio.wav import Wave
from valle_lab.lab.editing import changed_words, nearest

RATE = 24_000


def tone(pitch: float, seconds: float, loud: float = 0.3) -> Wave:
    time = np.arange(round(RATE * seconds)) / RATE
    return (loud * np.sin(2 * np.pi * pitch * time)).astype(np.float32)


def test_words_that_differ() -> None:
    assert changed_words("the cat sat down", "the dog sat") == (("cat", "dog"), ("down", ""))
    assert changed_words("yes", "oh yes") == (("", "oh"),)
    assert changed_words("the same", "the same") == ()


def test_a_sound_is_at_no_distance_from_itself_slower_or_louder() -> None:
    tune: Wave = np.concatenate([tone(300, 0.3), tone(900, 0.3)])
    slower: Wave = np.concatenate([tone(300, 0.5), tone(900, 0.4)])
    turned: Wave = np.concatenate([tone(900, 0.3), tone(300, 0.3)])
    assert nearest(tune, tune) == 0.0
    assert nearest(tone(300, 0.3), tone(300, 0.3, 0.15)) < 0.01
    assert nearest(tune, slower) < 0.3 * nearest(tune, turned)
