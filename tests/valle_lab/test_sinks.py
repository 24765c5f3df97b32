"""Sinks: a device that is missing, that refuses, that works; external players; and which one is taken."""

import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from valle.audio import wav
from valle.errors import UserError
from valle_lab import sinks
from valle_lab.player import Player

RATE = 24_000
WAVE = np.full(RATE // 4, 0.5, np.float32)


class PortAudioError(Exception):
    pass


class FakeStream:
    def __init__(self, **options: Any) -> None:
        os.write(2, b"ALSA lib: noise\n")
        self.options, self.active = options, False

    def start(self) -> None:
        self.active = True

    def stop(self) -> None:
        self.active = False

    def close(self) -> None:
        self.active = False

    def play(self, count: int) -> np.ndarray:
        out = np.ones((count, self.options["channels"]), np.float32)
        self.options["callback"](out, count, None, SimpleNamespace(output_underflow=False))
        return out


class FakeSoundDevice:
    """A sounddevice module over one device with given abilities."""

    PortAudioError = PortAudioError

    def __init__(self, accepts: set[tuple[int, int]], present: bool = True) -> None:
        self.accepts, self.present = accepts, present
        self.streams: list[FakeStream] = []

    def query_devices(self, device: object, kind: str) -> dict[str, Any]:
        if not self.present:
            raise PortAudioError("Error querying device -1")
        return {"name": f"fake {device}", "default_samplerate": 48_000.0}

    def check_output_settings(self, device: object, channels: int, dtype: str, samplerate: int) -> None:
        if (samplerate, channels) not in self.accepts:
            raise PortAudioError("Invalid sample rate [PaErrorCode -9997]")

    def OutputStream(self, **options: Any) -> FakeStream:  # noqa: N802
        self.streams.append(FakeStream(**options))
        return self.streams[-1]


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> Callable[..., FakeSoundDevice]:
    def install(*accepts: tuple[int, int], present: bool = True) -> FakeSoundDevice:
        module = FakeSoundDevice(set(accepts), present)
        monkeypatch.setitem(sys.modules, "sounddevice", module)  # type: ignore[arg-type]
        return module

    return install


@pytest.fixture
def no_portaudio(monkeypatch: pytest.MonkeyPatch) -> None:
    class Finder:
        def find_spec(self, name: str, *_: object) -> None:
            if name == "sounddevice":
                raise OSError("PortAudio library not found")

    monkeypatch.delitem(sys.modules, "sounddevice", raising=False)
    monkeypatch.setattr(sys, "meta_path", [Finder(), *sys.meta_path])


def program(folder: Path, text: str) -> str:
    path = folder / "myplayer"
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return str(path)


@pytest.mark.parametrize(
    ("accepts", "rate", "channels"),
    [((RATE, 1), RATE, 1), ((RATE, 2), RATE, 2), ((48_000, 2), 48_000, 2)],
)
def test_a_device_gets_the_rate_and_channels_it_takes(
    fake: Callable[..., FakeSoundDevice],
    capfd: pytest.CaptureFixture[str],
    accepts: tuple[int, int],
    rate: int,
    channels: int,
) -> None:
    module = fake(accepts)
    player = Player(sinks.open_sink("auto", device="3"))
    assert player.sink.audible and player.sink.description == f"sound device fake 3 at {rate} Hz"
    player.load(WAVE)
    player.play()
    (stream,) = module.streams
    heard = stream.play(rate)
    assert heard.shape == (rate, channels) and np.array_equal(heard[:, 0], heard[:, -1])
    assert np.abs(heard[:, 0]).sum() == pytest.approx(0.5 * rate / 4, rel=0.02)
    assert not stream.play(100).any()
    player.play()
    assert module.streams == [stream]
    player.close()
    assert not stream.active
    assert capfd.readouterr().err == ""


def test_a_stream_that_died_is_opened_again(fake: Callable[..., FakeSoundDevice]) -> None:
    module = fake((RATE, 1))
    player = Player(sinks.DeviceSink())
    player.load(WAVE)
    player.play()
    player.stop()
    module.streams[0].active = False
    player.play()
    assert len(module.streams) == 2 and module.streams[1].play(RATE).any()


def test_a_device_that_is_lost_while_it_plays_ends_the_sound_and_says_so(
    fake: Callable[..., FakeSoundDevice],
) -> None:
    device = fake((RATE, 1))
    player = Player(sinks.open_sink())
    player.load(WAVE)
    player.play()
    (stream,) = device.streams
    stream.play(3_000)
    stream.active = False
    stream.options["finished_callback"]()
    assert player.state == "stopped" and "gone" in player.error
    player.play()
    assert len(device.streams) == 2 and player.error == "" and player.state == "playing"
    player.close()
    stream.options["finished_callback"]()
    assert player.error == "", "a device that is given back is not lost"


def test_underflows_of_the_device_are_counted(fake: Callable[..., FakeSoundDevice]) -> None:
    device = fake((RATE, 1))
    sink = sinks.DeviceSink()
    Player(sink).load(WAVE)
    player = Player(sink)
    player.load(WAVE)
    player.play()
    out = np.ones((64, 1), np.float32)
    device.streams[0].options["callback"](out, 64, None, SimpleNamespace(output_underflow=True))
    assert sink.underflows == 1 and not out.any()


def test_a_device_that_takes_no_rate_or_is_not_there(fake: Callable[..., FakeSoundDevice]) -> None:
    fake()
    with pytest.raises(UserError, match="neither 24 kHz nor its own"):
        sinks.open_sink("device")
    fake((RATE, 1), present=False)
    with pytest.raises(UserError, match="no sound device: Error querying device -1"):
        sinks.open_sink("device")


def test_without_portaudio_an_external_player_then_files_only(
    no_portaudio: None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with pytest.raises(UserError, match="apt install libportaudio2"):
        sinks.open_sink("device")
    player = program(tmp_path, "exit 0")
    chosen = sinks.open_sink("auto", player=player)
    assert chosen.audible and "external player" in chosen.description and "PortAudio" in chosen.description
    chosen.close()
    monkeypatch.setenv("PATH", str(tmp_path / "empty"))
    nothing = sinks.open_sink("auto")
    assert not nothing.audible
    assert "only files" in nothing.description and "no external player" in nothing.description
    with pytest.raises(UserError, match="no external player"):
        sinks.open_sink("player")
    assert not sinks.open_sink("none").audible


def test_known_players_are_tried_in_turn(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    for name in ("ffplay", "aplay"):
        (tmp_path / name).write_text("#!/bin/sh\n")
        (tmp_path / name).chmod(0o755)
    assert sinks.find_player() == ["aplay", "-q"]
    assert sinks.find_player("ffplay -x 'a b'") == ["ffplay", "-x", "a b"]
    for wrong in ("nowhere -x", "'", " "):
        with pytest.raises(UserError, match=r"audio\.player"):
            sinks.find_player(wrong)


def external(tmp_path: Path, script: str) -> Player:
    player = Player(sinks.open_sink("player", player=program(tmp_path, script)))
    player.load(WAVE)
    return player


def test_an_external_player_gets_the_wave_with_silence_around(tmp_path: Path) -> None:
    player = external(tmp_path, f'cp "$1" {tmp_path}/heard.wav')
    player.play()
    assert player.wait(10) and player.state == "stopped" and player.position == player.duration
    heard = wav.read(tmp_path / "heard.wav")
    assert len(heard) == len(WAVE) + round(0.24 * RATE) and not heard[: round(0.12 * RATE)].any()
    assert heard.sum() == pytest.approx(WAVE.sum(), rel=1e-3)
    player.close()


def test_an_external_player_is_ended_by_a_pause_and_goes_on_from_there(tmp_path: Path) -> None:
    player = external(tmp_path, f'cp "$1" {tmp_path}/$$; mv {tmp_path}/$$ {tmp_path}/$$.wav; exec sleep 60')
    player.load(np.full(30 * RATE, 0.5, np.float32))
    player.seek(0.1)
    player.play()
    first = started(tmp_path, 1).pop()
    wait_until(lambda: player.position > 0.15)
    player.pause()
    position = player.position
    assert player.state == "paused" and 0.15 < position < player.duration
    wait_until(lambda: not running(first))
    assert player.position == position
    player.play()
    (second,) = started(tmp_path, 2) - {first}
    rest = round((player.duration - position + 0.12) * RATE)
    assert abs(len(wav.read(tmp_path / f"{second}.wav")) - rest) <= 1
    player.close()
    wait_until(lambda: not running(second))


def started(folder: Path, count: int) -> set[int]:
    """Process ids of the players that have copied their file, once there are `count`."""
    wait_until(lambda: len(list(folder.glob("*.wav"))) == count)
    return {int(path.stem) for path in folder.glob("*.wav")}


def running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def test_an_external_player_that_fails_ends_the_sound_even_in_a_loop(tmp_path: Path) -> None:
    player = external(tmp_path, f"echo x >> {tmp_path}/runs; exit 3")
    player.loop = True
    player.play()
    assert player.wait(10) and player.state == "stopped"
    assert isinstance(player.sink, sinks.CommandSink) and "status 3" in player.sink.error
    assert (tmp_path / "runs").read_text() == "x\n"
    player.close()


def test_an_external_player_loops(tmp_path: Path) -> None:
    player = external(tmp_path, f"echo x >> {tmp_path}/runs; sleep 0.05")
    player.loop = True
    player.play()
    wait_until(lambda: (tmp_path / "runs").exists() and len((tmp_path / "runs").read_text()) >= 6)
    assert player.state == "playing"
    player.close()


def wait_until(condition: Callable[[], bool], seconds: float = 10.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.01)
