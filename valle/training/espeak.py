"""Speech with the time of every phoneme, rendered by espeak-ng through ctypes.

The library is loaded into the process that calls this, and only the training does: it runs in processes of
its own.
"""

from __future__ import annotations

import ctypes
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import soxr
from numpy.typing import NDArray

from valle.audio.builtin.pitch import SAMPLE_RATE
from valle.errors import UserError
from valle.training.speakers import Speaker

SYNCHRONOUS = 2
PHONEME_EVENTS, PHONEMES_IN_IPA, DO_NOT_EXIT = 1, 2, 0x8000
UTF8 = 1
RATE, PITCH, RANGE = 1, 3, 4
PHONEME = 7
AUDIBLE = 0.004
# The level of -23 dB to which valle.audio brings recordings.
LEVEL = 10 ** (-23 / 20)


class _Name(ctypes.Union):
    _fields_ = [("number", ctypes.c_int), ("name", ctypes.c_char_p), ("string", ctypes.c_char * 8)]


class _Event(ctypes.Structure):
    _fields_ = [
        ("type", ctypes.c_int),
        ("unique_identifier", ctypes.c_uint),
        ("text_position", ctypes.c_int),
        ("length", ctypes.c_int),
        ("audio_position", ctypes.c_int),
        ("sample", ctypes.c_int),
        ("user_data", ctypes.c_void_p),
        ("id", _Name),
    ]


_Callback = ctypes.CFUNCTYPE(
    ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.POINTER(_Event)
)


@dataclass(frozen=True)
class Rendering:
    """A spoken text: its wave (24 kHz, trimmed), and each phoneme with the second at which it begins."""

    wave: NDArray[np.float32]
    phonemes: tuple[tuple[float, str], ...]

    @property
    def seconds(self) -> float:
        """How long the wave is."""
        return len(self.wave) / SAMPLE_RATE


class Espeak:
    """The loaded library. There is one per process: see `espeak`."""

    def __init__(self) -> None:
        import espeakng_loader

        self._library = ctypes.cdll.LoadLibrary(espeakng_loader.get_library_path())
        path = espeakng_loader.get_data_path().encode()
        options = PHONEME_EVENTS | PHONEMES_IN_IPA | DO_NOT_EXIT
        self._rate = self._library.espeak_Initialize(SYNCHRONOUS, 0, path, options)
        if self._rate <= 0:
            raise UserError("espeak-ng could not be started; reinstall espeakng-loader")
        self._pieces: list[NDArray[np.int16]] = []
        self._events: list[tuple[float, str]] = []
        self._callback = _Callback(self._receive)
        self._library.espeak_SetSynthCallback(self._callback)
        self._voice = ""

    def _receive(self, wave: Any, count: int, events: Any) -> int:
        if count > 0 and wave:
            self._pieces.append(np.ctypeslib.as_array(wave, (count,)).copy())
        index = 0
        while events[index].type != 0:
            if events[index].type == PHONEME:
                name = bytes(events[index].id.string).split(b"\0")[0].decode("utf8", "ignore")
                self._events.append((events[index].audio_position / 1000, name))
            index += 1
        return 0

    def render(self, text: str, speaker: Speaker) -> Rendering:
        """Speak a text. The wave has an RMS of -23 dB, and no silence but a moment before and after."""
        if speaker.voice != self._voice:
            if self._library.espeak_SetVoiceByName(speaker.voice.encode()) != 0:
                raise UserError(f"espeak-ng has no voice {speaker.voice!r}")
            self._voice = speaker.voice
        for parameter, value in ((RATE, speaker.rate), (PITCH, speaker.pitch), (RANGE, speaker.range)):
            self._library.espeak_SetParameter(parameter, value, 0)
        self._pieces.clear()
        self._events.clear()
        data = text.encode()
        self._library.espeak_Synth(data, len(data) + 1, 0, 1, 0, UTF8, None, None)
        self._library.espeak_Synchronize()
        return self._finished()

    def _finished(self) -> Rendering:
        silence = Rendering(np.zeros(0, np.float32), ())
        if not self._pieces:
            return silence
        wave = np.concatenate(self._pieces).astype(np.float32) / 32768
        wave = soxr.resample(wave, self._rate, SAMPLE_RATE).astype(np.float32)
        audible = np.flatnonzero(np.abs(wave) > AUDIBLE)
        if not len(audible):
            return silence
        start = max(0, int(audible[0]) - 480)
        wave = wave[start : int(audible[-1]) + 1200]
        wave = np.clip(wave * (LEVEL / (wave.std() + 1e-6)), -1, 1).astype(np.float32)
        shift = start / SAMPLE_RATE
        return Rendering(wave, tuple((second - shift, name) for second, name in self._events))


@lru_cache(maxsize=1)
def espeak() -> Espeak:
    """The espeak-ng of this process, loaded at the first call."""
    return Espeak()
