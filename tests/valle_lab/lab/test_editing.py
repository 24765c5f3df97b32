"""Words that differ and sounds that differ, on cases worked by hand."""

from __future__ import annotations

import numpy as np

from valle.audio.wav import Wave
from valle_lab.lab.editing import Edited, changed_words, nearest
from valle_lab.text_views import in_words

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


def test_a_comparison_in_words() -> None:
    edited = Edited("take-2", "clear-man", (("cat", "dog"), ("down", "")), (3.1, 2.75), 6.2)
    assert in_words(edited) == [
        "take-2, 2.75 s, beside clear-man, 3.1 s: 6.2 dB apart",
        "    cat -> dog",
        "    down -> (nothing)",
    ]
    assert in_words(Edited("take-2", "clear-man", (), (3.1, 3.0), 1.5))[1:] == ["    the same words"]
