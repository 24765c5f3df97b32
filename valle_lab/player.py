"""Play, pause, seek and loop one wave at a time, whole or while it is made, on whatever sink there is."""

from __future__ import annotations

import threading
from typing import Literal

import numpy as np
import soxr

from valle.audio import wav
from valle.audio.wav import SAMPLE_RATE, Wave
from valle.errors import UserError
from valle_lab.sinks import Sink

State = Literal["playing", "paused", "stopped"]

PAD_SECONDS = 0.12
"""Silence before and after each wave; devices swallow the first and the last tenth of a second."""

FADE_SECONDS = 0.01
"""A pause fades out this fast, so that it does not click."""


class Track:
    """A wave with silence at both ends, a position, and what to do at the end; the source of a sink.

    A growing one may be added to until it is said to be whole; where nothing is left to play before that, it
    gives silence and stays where it is. Everything here is called from two threads, the player's and the
    sink's, and guarded by one lock.
    """

    def __init__(self, wave: Wave, rate: int, loop: bool = False, growing: bool = False) -> None:
        self._pad = round(PAD_SECONDS * rate)
        self._samples = np.pad(np.asarray(wave, np.float32), self._pad)
        self._length = len(wave)
        self._rate = rate
        self._growing = growing
        self.gaps = 0
        """How often there was nothing to play yet."""
        self._in_gap = False
        self._lock = threading.Lock()
        self._place = 0
        self._running = False
        self._fade = wav.silence(0)
        self.loop = loop
        self.ended = threading.Event()

    @property
    def seconds(self) -> float:
        """Length without the silence."""
        return self._length / self._rate

    @property
    def position(self) -> float:
        """Seconds from the start of the wave, from 0 to its length."""
        return min(max(self._place - self._pad, 0), self._length) / self._rate

    @property
    def active(self) -> bool:
        """Whether it runs, or still fades out."""
        return self._running or len(self._fade) > 0

    def add(self, wave: Wave) -> None:
        """Put more [samples] at the end of a growing wave."""
        with self._lock:
            end = self._pad + self._length
            self._samples = np.concatenate([self._samples[:end], wave, wav.silence(self._pad)])
            self._length += len(wave)

    def complete(self) -> None:
        """Nothing more will come."""
        self._growing = False

    def run(self) -> None:
        """Go on from the position, from the start if that is the end."""
        with self._lock:
            if self._place >= self._pad + self._length:
                self._place = 0
            self._running, self._fade = True, wav.silence(0)
            self.ended.clear()

    def halt(self) -> None:
        """Stay where it is; what was next to come fades out."""
        with self._lock:
            if self._running:
                tail = self._samples[self._place : self._place + round(FADE_SECONDS * self._rate)]
                self._fade = tail * np.linspace(1.0, 0.0, len(tail), dtype=np.float32)
            self._running = False
            self.ended.set()

    def end(self) -> None:
        """Be at the end, whether it loops or not."""
        with self._lock:
            self._finish()

    def seek(self, seconds: float) -> None:
        """Move the position; beyond the ends means to them."""
        with self._lock:
            place = round(min(max(seconds, 0.0), self.seconds) * self._rate)
            self._place = place + self._pad if place else 0

    def pull(self, count: int) -> Wave:
        """The next samples, and the position moves on; silence when it does not run."""
        out = wav.silence(count)
        with self._lock:
            filled = min(count, len(self._fade))
            out[:filled], self._fade = self._fade[:filled], self._fade[filled:]
            while self._running and filled < count:
                last = self._pad + self._length if self._growing else len(self._samples)
                part = self._samples[self._place : min(last, self._place + count - filled)]
                if not len(part) and self._growing:
                    self.gaps += not self._in_gap
                    self._in_gap = True
                    break
                self._in_gap = False
                out[filled : filled + len(part)] = part
                filled += len(part)
                self._place += len(part)
                if not self._growing and self._place >= len(self._samples):
                    self._reach_end()
        return out

    def rest(self) -> Wave:
        """The samples from the position to the end, the silence included; of a growing wave those so far."""
        with self._lock:
            last = self._pad + self._length if self._growing else len(self._samples)
            return self._samples[self._place : last].copy()

    def _reach_end(self) -> None:
        if self.loop and self._length:
            self._place = self._pad
        else:
            self._finish()

    def _finish(self) -> None:
        self._place = self._pad + self._length
        self._running = self._growing = False
        self.ended.set()


class Player:
    """The transport over a sink. No method waits for sound, except `wait`."""

    def __init__(self, sink: Sink) -> None:
        self.sink = sink
        self._track = Track(wav.silence(0), sink.rate)
        self._state: State = "stopped"
        self._resampler: soxr.ResampleStream | None = None

    @property
    def state(self) -> State:
        """`playing`, `paused` in the middle, or `stopped` at the start or end."""
        if self._state == "playing" and self._track.ended.is_set():
            self._state = "stopped"
        return self._state

    @property
    def position(self) -> float:
        """Seconds from the start of the wave."""
        return self._track.position

    @property
    def duration(self) -> float:
        """Seconds of the loaded wave, 0 if there is none."""
        return self._track.seconds

    @property
    def loop(self) -> bool:
        """Whether the end leads to the start."""
        return self._track.loop

    @loop.setter
    def loop(self, loop: bool) -> None:
        self._track.loop = loop

    @property
    def gaps(self) -> int:
        """How often a growing wave had nothing to play yet."""
        return self._track.gaps

    @property
    def error(self) -> str:
        """Why the sound ended before its end, empty where it did not."""
        return self.sink.error

    def load(self, wave: Wave, rate: int = SAMPLE_RATE) -> None:
        """Take another wave [samples] at `rate` Hz, resampled for the sink, and stop at its start."""
        self.stop()
        self._track = Track(wav.resample(wave, rate, self.sink.rate), self.sink.rate, self._track.loop)

    def stream(self, rate: int = SAMPLE_RATE) -> None:
        """Begin a wave that grows by `feed`, and play it as it comes. Raises UserError of the sink."""
        self.stop()
        self._track = Track(wav.silence(0), self.sink.rate, growing=True)
        self._resampler = None if rate == self.sink.rate else soxr.ResampleStream(rate, self.sink.rate, 1)
        self._track.run()
        self.sink.start(self._track)
        self._state = "playing"

    def feed(self, wave: Wave, last: bool = False) -> None:
        """Add to the wave that `stream` began, [samples]; after the `last` part it ends like any other."""
        if self._resampler is not None:
            wave = np.asarray(self._resampler.resample_chunk(wave, last=last), np.float32)
        self._track.add(wave)
        if last:
            self._track.complete()

    def play(self) -> None:
        """Play from the position, again from the start if that is the end. Raises UserError of the sink."""
        if self.state == "playing" or not self.duration:
            return
        self._track.run()
        try:
            self.sink.start(self._track)
        except UserError:
            self._track.halt()
            raise
        self._state = "playing"

    def pause(self) -> None:
        """Stay at the position; `play` goes on from there."""
        if self.state == "playing":
            self._track.halt()
            self._state = "paused"

    def stop(self) -> None:
        """End the sound and go back to the start."""
        self._track.halt()
        self._track.seek(0.0)
        self._state = "stopped"

    def seek(self, seconds: float) -> None:
        """Move to a position, playing or not; beyond the ends means to them."""
        self._track.seek(seconds)
        if self.state == "playing":
            self.sink.start(self._track)

    def wait(self, timeout: float | None = None) -> bool:
        """Wait until the sound ends by itself or is ended; whether it did within `timeout` seconds."""
        return self.state != "playing" or self._track.ended.wait(timeout)

    def close(self) -> None:
        """End the sound and give the device back."""
        self.stop()
        self.sink.close()
