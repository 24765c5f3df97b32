"""When each symbol sounds."""

from __future__ import annotations

import numpy as np

from valle.training.alignment import frame_symbols, symbol_times


def test_symbols_take_the_times_of_their_phonemes() -> None:
    events = [(0.0, "h"), (0.1, "ə"), (0.2, "l"), (0.3, "ˈoʊ")]
    times = symbol_times("həlˈoʊ", events, 0.6)
    np.testing.assert_allclose(times, [0.0, 0.1, 0.2, 0.3, 0.4, 0.5])


def test_what_is_not_reported_lies_between_its_neighbours() -> None:
    events = [(0.0, "a"), (0.2, "b")]
    times = symbol_times("a b!", events, 0.4)
    np.testing.assert_allclose(times, [0.0, 0.1, 0.2, 0.3])


def test_times_never_fall_when_the_two_sides_differ() -> None:
    events = [(0.0, "t"), (0.1, "ʌ"), (0.2, "ɾ"), (0.3, ""), (0.5, "k"), (0.6, "a")]
    times = symbol_times("təd, kˈa.", events, 0.8)
    assert (np.diff(times) >= 0).all()
    assert times[5] == 0.5


def test_every_frame_has_the_symbol_of_its_middle() -> None:
    events = [(0.0, "a"), (0.2, "b")]
    frames = frame_symbols("ab", events, 30)
    assert frames.tolist() == [0] * 15 + [1] * 15


def test_frames_before_the_first_phoneme_have_the_first_symbol() -> None:
    assert frame_symbols("ab", [(0.1, "a"), (0.2, "b")], 30)[0] == 0
