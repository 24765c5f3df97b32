"""Recording, through the callback that a real device would call."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from valle.errors import UserError
from valle_lab import microphone
from valle_lab.microphone import Microphone


class PortAudioError(Exception):
    pass


class FakeSoundDevice:
    PortAudioError = PortAudioError

    def __init__(self, present: bool = True) -> None:
        self.present = present
        self.callback: Callable[..., None] = lambda *given: None
        self.running = False

    def query_devices(self, device: object, kind: str) -> dict[str, Any]:
        if not self.present:
            raise PortAudioError("Error querying\ndevice -1")
        return {"default_samplerate": 48_000.0}

    def InputStream(self, callback: Callable[..., None], **options: Any) -> FakeSoundDevice:  # noqa: N802
        assert (options["samplerate"], options["channels"]) == (48_000, 1)
        self.callback = callback
        return self

    def start(self) -> None:
        self.running = True

    def stop(self) -> None:
        self.running = False

    def close(self) -> None:
        self.running = False


def test_what_was_said_comes_back_at_24_khz(monkeypatch: pytest.MonkeyPatch) -> None:
    device = FakeSoundDevice()
    monkeypatch.setattr(microphone, "import_sounddevice", lambda: device)
    monkeypatch.setattr(microphone, "MOST_SECONDS", 0.5)
    recorder = Microphone()
    assert device.running
    block = np.sin(np.arange(4_800) * 0.05).astype(np.float32)[:, None]
    for _ in range(4):
        device.callback(block, len(block), None, None)
        block = block.copy()
    assert recorder.seconds == pytest.approx(0.4)
    for _ in range(9):
        device.callback(block, len(block), None, None)
    wave = recorder.stop()
    assert not device.running
    assert len(wave) == 12_000 and np.abs(wave).max() == pytest.approx(1.0, abs=0.05), "half a second at most"


def test_without_a_microphone_there_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(microphone, "import_sounddevice", lambda: FakeSoundDevice(present=False))
    with pytest.raises(UserError, match="no microphone: Error querying device -1"):
        Microphone("3")
