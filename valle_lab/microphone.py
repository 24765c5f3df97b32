"""Recording from the microphone, through PortAudio."""

from __future__ import annotations

import contextlib
from typing import Any

import numpy as np

from valle.audio import wav
from valle.audio.wav import SAMPLE_RATE, Wave
from valle.errors import UserError
from valle_lab.sinks import import_sounddevice, quiet_stderr

MOST_SECONDS = 60.0


def microphone_name(device: str = "auto") -> str:
    """What would record. Raises UserError with the reason where nothing can."""
    return str(_input(import_sounddevice(), device)["name"])


def _input(sounddevice: Any, device: str) -> Any:
    """What is known of a device that records. Raises UserError where there is none."""
    try:
        with quiet_stderr():
            return sounddevice.query_devices(_chosen(device), "input")
    except (ValueError, sounddevice.PortAudioError) as error:
        raise _none(error) from error


def _chosen(device: str) -> int | str | None:
    return None if device == "auto" else int(device) if device.isdecimal() else device


def _none(error: Exception) -> UserError:
    return UserError(f"no microphone: {error}".replace("\n", " "))


class Microphone:
    """Records from its making on, until `stop`; after MOST_SECONDS it listens no more."""

    def __init__(self, device: str = "auto") -> None:
        """Begin to record. Raises UserError with the reason where there is no microphone."""
        self._sounddevice = import_sounddevice()
        self._rate = int(_input(self._sounddevice, device)["default_samplerate"])
        self._pieces: list[Wave] = []
        try:
            with quiet_stderr():
                self._stream = self._sounddevice.InputStream(
                    samplerate=self._rate,
                    channels=1,
                    dtype="float32",
                    device=_chosen(device),
                    callback=self._take,
                )
                self._stream.start()
        except (ValueError, self._sounddevice.PortAudioError) as error:
            raise _none(error) from error

    @property
    def seconds(self) -> float:
        """How long it has recorded."""
        return sum(map(len, self._pieces)) / self._rate

    def stop(self) -> Wave:
        """End the recording: [samples], mono at 24 kHz."""
        with quiet_stderr(), contextlib.suppress(self._sounddevice.PortAudioError):
            self._stream.stop()
            self._stream.close()
        return wav.resample(np.concatenate([wav.silence(0), *self._pieces]), self._rate, SAMPLE_RATE)

    def _take(self, data: Any, count: int, _: Any, status: Any) -> None:
        if self.seconds < MOST_SECONDS:
            self._pieces.append(np.array(data[:, 0], np.float32))
