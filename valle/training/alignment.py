"""When each symbol of a phoneme string sounds, from the timed phonemes that espeak-ng reports."""

from __future__ import annotations

from collections.abc import Sequence
from difflib import SequenceMatcher

import numpy as np
from numpy.typing import NDArray

from valle.training.codec_data import FRAME_RATE

PAUSE = " "


def symbol_times(phonemes: str, events: Sequence[tuple[float, str]], seconds: float) -> NDArray[np.float64]:
    """The second at which each character of `phonemes` begins, never falling.

    Events are (second, phoneme in IPA); an empty one is a pause. Their characters share the event's time
    and are matched with the string's; a character that espeak does not report, such as a space between
    words, lies halfway between its neighbours.
    """
    said: list[str] = []
    times: list[float] = []
    ends = [second for second, _ in events[1:]] + [seconds]
    for (second, name), end in zip(events, ends, strict=True):
        characters = name or PAUSE
        said.extend(characters)
        length = max(0.0, end - second)
        times.extend(second + length * k / len(characters) for k in range(len(characters)))
    matcher = SequenceMatcher(None, said, phonemes, autojunk=False)
    places = [-1.0]
    known = [0.0]
    for block in matcher.get_matching_blocks():
        for k in range(block.size):
            places.append(block.b + k)
            known.append(max(known[-1], times[block.a + k]))
    places.append(float(len(phonemes)))
    known.append(max(seconds, known[-1]))
    return np.interp(np.arange(len(phonemes)), places, known)


def frame_symbols(phonemes: str, events: Sequence[tuple[float, str]], frames: int) -> NDArray[np.int16]:
    """The place in `phonemes` of the character that sounds at the middle of each frame, [frames]."""
    times = symbol_times(phonemes, events, frames / FRAME_RATE)
    middles = (np.arange(frames) + 0.5) / FRAME_RATE
    return np.maximum(np.searchsorted(times, middles, side="right") - 1, 0).astype(np.int16)
