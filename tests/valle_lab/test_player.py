"""The transport, through the callback that a real device would call."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from valle.errors import UserError
from valle_lab.player import PAD_SECONDS, Player
from valle_lab.sinks import NoSink, NullSink

RATE = 24_000
PAD = round(PAD_SECONDS * RATE)
WAVE = np.linspace(0.1, 0.9, RATE, dtype=np.float32)


def loaded(wave: np.ndarray = WAVE) -> tuple[Player, NullSink]:
    sink = NullSink()
    player = Player(sink)
    player.load(wave)
    return player, sink


def test_a_wave_is_played_whole_between_silences() -> None:
    player, sink = loaded()
    player.play()
    heard = sink.advance(2.0)
    assert not heard[:PAD].any() and not heard[PAD + RATE :].any()
    assert np.array_equal(heard[PAD : PAD + RATE], WAVE)
    assert (player.state, player.position) == ("stopped", 1.0) and player.wait(0)


@given(st.lists(st.integers(1, 9_000), min_size=1, max_size=20))
def test_the_size_of_the_devices_blocks_does_not_matter(blocks: list[int]) -> None:
    player, sink = loaded()
    player.play()
    heard = np.concatenate([sink.advance(block / RATE) for block in blocks])
    whole = np.concatenate([np.zeros(PAD, np.float32), WAVE, np.zeros(200_000, np.float32)])
    assert np.array_equal(heard, whole[: len(heard)])


def test_pause_fades_keeps_the_position_and_goes_on_there() -> None:
    player, sink = loaded()
    player.play()
    sink.advance(PAD_SECONDS + 0.5)
    player.pause()
    assert (player.state, player.position) == ("paused", 0.5)
    faded = sink.advance(0.1)
    assert faded[0] == WAVE[12_000] and (np.diff(faded[:240]) < 0).all() and not faded[240:].any()
    assert player.position == 0.5
    player.play()
    assert np.array_equal(sink.advance(0.25), WAVE[12_000:18_000])


def test_stop_goes_back_to_the_start() -> None:
    player, sink = loaded()
    player.play()
    sink.advance(0.5)
    player.stop()
    sink.advance(0.5)
    assert (player.state, player.position) == ("stopped", 0.0) and player.wait(0)
    player.play()
    assert np.array_equal(sink.advance(2.0)[PAD : PAD + RATE], WAVE)


def test_seeking_while_playing_and_not() -> None:
    player, sink = loaded()
    player.seek(0.75)
    assert player.position == 0.75 and not sink.advance(0.1).any()
    player.play()
    assert np.array_equal(sink.advance(0.125), WAVE[18_000:21_000])
    player.seek(0.25)
    assert np.array_equal(sink.advance(0.125), WAVE[6_000:9_000])
    for beyond, position in [(-3.0, 0.0), (99.0, 1.0)]:
        player.seek(beyond)
        assert player.position == position
    sink.advance(1.0)
    assert player.state == "stopped"
    player.play()
    assert player.position == 0.0 and player.state == "playing"


def test_a_loop_goes_on_until_it_is_no_loop() -> None:
    player, sink = loaded()
    player.loop = True
    player.play()
    round_trip = PAD_SECONDS + 1.0
    sink.advance(PAD_SECONDS + 3 * round_trip + 0.5)
    assert player.state == "playing" and player.position == pytest.approx(0.5)
    player.loop = False
    sink.advance(1.0)
    assert (player.state, player.position) == ("stopped", 1.0)


def test_another_wave_stops_the_first_and_is_resampled() -> None:
    sink = NullSink(rate=48_000)
    player = Player(sink)
    player.loop = True
    player.load(WAVE)
    player.play()
    sink.advance(0.5)
    tone = np.sin(2 * np.pi * 440 * np.arange(16_000) / 16_000).astype(np.float32)
    player.load(tone, rate=16_000)
    assert (player.state, player.position, player.duration, player.loop) == ("stopped", 0.0, 1.0, True)
    player.play()
    heard = sink.advance(PAD_SECONDS + 1.0)[round(PAD_SECONDS * 48_000) :]
    expected = np.sin(2 * np.pi * 440 * np.arange(48_000) / 48_000)
    assert np.abs(heard - expected)[1_000:-1_000].max() < 0.01


def test_nothing_loaded_plays_nothing() -> None:
    player = Player(NullSink())
    player.play()
    assert player.state == "stopped" and player.wait(0) and player.duration == 0.0
    player.close()


def test_where_there_is_no_sound_playing_says_so_and_waiting_returns() -> None:
    player = Player(NoSink("PortAudio is missing"))
    player.load(WAVE)
    with pytest.raises(UserError, match=r"only files \(PortAudio is missing\)"):
        player.play()
    assert player.state == "stopped" and player.wait(0)


def grown(*parts: int) -> list[np.ndarray]:
    """WAVE cut at these samples."""
    return np.split(WAVE, parts)


def test_a_growing_wave_is_played_as_it_comes_and_waits_where_nothing_is_there() -> None:
    sink = NullSink()
    player = Player(sink)
    player.stream()
    first, second, third = grown(4_800, 12_000)
    assert not sink.advance(PAD_SECONDS + 0.1).any() and player.state == "playing"
    player.feed(first)
    heard = sink.advance(0.3)
    assert np.array_equal(heard[:4_800], first) and not heard[4_800:].any()
    assert (player.position, player.state, player.gaps) == (0.2, "playing", 2)
    sink.advance(0.1)
    player.feed(second)
    assert np.array_equal(sink.advance(0.3), second)
    player.feed(third, last=True)
    assert np.array_equal(sink.advance(0.5), third)
    assert (player.gaps, player.duration) == (2, 1.0)
    sink.advance(0.2)
    assert (player.state, player.position) == ("stopped", 1.0)


def test_a_growing_wave_can_be_paused_and_gone_back_in() -> None:
    sink = NullSink()
    player = Player(sink)
    player.stream()
    player.feed(WAVE)
    sink.advance(PAD_SECONDS + 0.5)
    player.pause()
    sink.advance(0.1)
    player.seek(0.25)
    player.play()
    assert np.array_equal(sink.advance(0.5), WAVE[6_000:18_000])
    player.stop()
    assert player.state == "stopped"


def test_a_growing_wave_is_resampled_without_seams() -> None:
    sink = NullSink(48_000)
    player = Player(sink)
    player.stream()
    tone = np.sin(np.arange(RATE, dtype=np.float32) * 0.1)
    for part in np.split(tone, [100, 7_000, 7_001, 15_000]):
        player.feed(part)
    player.feed(np.zeros(0, np.float32), last=True)
    heard = sink.advance(1.5)[2 * PAD : 2 * PAD + 48_000]
    wanted = np.sin(np.arange(48_000) * 0.05)
    assert np.abs(heard[200:-200] - wanted[200:-200]).max() < 1e-3
