"""Where sound goes: a sound device, an external player, or nowhere but the file.

PortAudio may be missing, refuse 24 kHz, or write to fd 2 over a screen; each of these has its answer here. A
sink says in `description` what it is and why it is not a better one.
"""

from __future__ import annotations

import contextlib
import os
import shlex
import shutil
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Literal, Protocol

from valle.audio import wav
from valle.audio.wav import SAMPLE_RATE, Wave
from valle.errors import UserError

SinkKind = Literal["auto", "device", "player", "none"]

PLAYERS = (
    ("pw-play",),
    ("paplay",),
    ("aplay", "-q"),
    ("afplay",),
    ("ffplay", "-nodisp", "-autoexit", "-loglevel", "quiet"),
)
"""External players that are tried in turn; the file's name is put after them."""


class Source(Protocol):
    """What a sink plays from; safe to call from the sink's thread."""

    def pull(self, count: int) -> Wave:
        """The next `count` samples at the sink's rate, silence where there are none."""

    def rest(self) -> Wave:
        """All samples from the current position to the end; the position stays."""

    def end(self) -> None:
        """Be at the end, even if it loops: the sink cannot play it."""

    @property
    def active(self) -> bool:
        """Whether there is anything but silence to come."""


class Sink(Protocol):
    """Plays one source at a time; a source that is not active costs nothing."""

    @property
    def description(self) -> str:
        """What it is, in a few words for a status line."""

    @property
    def audible(self) -> bool:
        """Whether anything can be heard of it."""

    @property
    def rate(self) -> int:
        """The samples a second that it takes."""

    @property
    def error(self) -> str:
        """Why the last sound failed after it had begun, empty if it did not."""

    def start(self, source: Source) -> None:
        """Pull from this source from now on, instead of an earlier one. Raises UserError if it cannot."""

    def close(self) -> None:
        """Give the device back."""


def open_sink(kind: SinkKind = "auto", device: str = "auto", player: str = "auto") -> Sink:
    """The sink that the settings ask for; `auto` takes the first that works of device, player and none.

    `device` is a name or number, `player` a command line. Raises UserError if one that is insisted on fails.
    """
    reasons: list[str] = []
    if kind in ("auto", "device"):
        try:
            return DeviceSink(device)
        except UserError as error:
            if kind == "device":
                raise
            reasons.append(str(error))
    if kind in ("auto", "player"):
        try:
            return CommandSink(find_player(player), why="; ".join(reasons))
        except UserError as error:
            if kind == "player":
                raise
            reasons.append(str(error))
    return NoSink(why="; ".join(reasons))


def find_player(player: str = "auto") -> list[str]:
    """The command of an external player; UserError if there is none."""
    if player != "auto":
        try:
            command = shlex.split(player)
        except ValueError as error:
            raise UserError(f"audio.player is {player!r}: {error}") from error
        if not command or shutil.which(command[0]) is None:
            raise UserError(f"audio.player is {player!r}, which is not a program here")
        return command
    for known in PLAYERS:
        if shutil.which(known[0]):
            return list(known)
    raise UserError("no external player found (" + ", ".join(known[0] for known in PLAYERS) + ")")


@contextlib.contextmanager
def quiet_stderr() -> Iterator[None]:
    """Send what C libraries write to fd 2 to nowhere, so that ALSA does not write over a screen."""
    saved, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, 2)
        yield
    finally:
        os.dup2(saved, 2)
        os.close(saved)
        os.close(nowhere)


class NoSink:
    """Where nothing can be heard: playing is refused with the reason, and the file is all there is."""

    audible = False
    rate = SAMPLE_RATE
    error = ""

    def __init__(self, why: str = "") -> None:
        self.description = f"no sound, only files ({why})" if why else "no sound, only files"

    def start(self, source: Source) -> None:
        raise UserError(f"{self.description}; a take that is saved can be heard elsewhere")

    def close(self) -> None:
        """Nothing was opened."""


class NullSink:
    """A silent device whose time passes only when `advance` is called; for programs without a listener."""

    audible = False
    description = "silent device"
    error = ""

    def __init__(self, rate: int = SAMPLE_RATE) -> None:
        self.rate = rate
        self._source: Source | None = None

    def start(self, source: Source) -> None:
        self._source = source

    def advance(self, seconds: float) -> Wave:
        """What a device would have played in the next `seconds`; silence if nothing was started."""
        count = round(seconds * self.rate)
        return self._source.pull(count) if self._source else wav.silence(count)

    def close(self) -> None:
        self._source = None


class DeviceSink:
    """A sound device through PortAudio; one stream is kept open from the first sound on."""

    audible = True

    def __init__(self, device: str = "auto") -> None:
        """Find the device and a rate that it takes. Raises UserError with the reason and what helps."""
        self._sounddevice = import_sounddevice()
        self._device = None if device == "auto" else int(device) if device.isdecimal() else device
        with quiet_stderr():
            self.rate, self._channels, name = self._accepted()
        self.description = f"sound device {name} at {self.rate} Hz"
        self.underflows = 0
        """How often the device asked faster than it was answered."""
        self.error = ""
        self._source: Source | None = None
        self._stream: Any = None

    def start(self, source: Source) -> None:
        if self._stream is not None and not self._stream.active:
            self.close()
        self._source, self.error = source, ""
        if self._stream is not None:
            return
        try:
            with quiet_stderr():
                self._stream = self._sounddevice.OutputStream(
                    samplerate=self.rate,
                    channels=self._channels,
                    dtype="float32",
                    device=self._device,
                    latency="high",
                    callback=self._fill,
                    finished_callback=self._lost,
                )
                self._stream.start()
        except self._sounddevice.PortAudioError as error:
            self._stream = None
            raise UserError(f"the sound device cannot be opened: {error}".replace("\n", " ")) from error

    def close(self) -> None:
        stream, self._stream, self._source = self._stream, None, None
        if stream is not None:
            with quiet_stderr(), contextlib.suppress(self._sounddevice.PortAudioError):
                stream.stop()  # plays what it has taken, which close alone would drop
                stream.close()

    def _lost(self) -> None:
        """Called by PortAudio when the stream has ended: unless it was closed, the device is gone."""
        source = self._source
        if self._stream is not None and source is not None and source.active:
            self.error = "the sound device is gone; play again to look for it"
            source.end()

    def _fill(self, out: Any, count: int, _: Any, status: Any) -> None:
        self.underflows += bool(status.output_underflow)
        source = self._source
        out[:] = (source.pull(count) if source else wav.silence(count))[:, None]

    def _accepted(self) -> tuple[int, int, str]:
        """Rate, channels and name: 24 kHz if the device takes it, else its own rate."""
        sound = self._sounddevice
        try:
            information = sound.query_devices(self._device, "output")
        except (ValueError, sound.PortAudioError) as error:
            raise UserError(f"no sound device: {error}".replace("\n", " ")) from error
        for rate in (SAMPLE_RATE, int(information["default_samplerate"])):
            for channels in (1, 2):
                with contextlib.suppress(ValueError, sound.PortAudioError):
                    sound.check_output_settings(self._device, channels, "float32", samplerate=rate)
                    return rate, channels, str(information["name"])
        raise UserError(f"the sound device {information['name']} takes neither 24 kHz nor its own rate")


class CommandSink:
    """An external player that is given a file; the position is told by the clock."""

    audible = True
    rate = SAMPLE_RATE

    def __init__(self, command: Sequence[str], why: str = "") -> None:
        self.description = f"external player {command[0]}" + (f" ({why})" if why else "")
        self.error = ""
        self._command = list(command)
        self._folder = tempfile.TemporaryDirectory(prefix="valle-lab-play-", ignore_cleanup_errors=True)
        self._stopping: threading.Event | None = None

    def start(self, source: Source) -> None:
        self._stop()
        self._stopping = threading.Event()
        threading.Thread(target=self._play, args=(source, self._stopping), daemon=True).start()

    def close(self) -> None:
        self._stop()
        self._folder.cleanup()

    def _stop(self) -> None:
        if self._stopping is not None:
            self._stopping.set()

    def _play(self, source: Source, stopping: threading.Event) -> None:
        """Play what is left of the source, again and again as long as it loops."""
        while source.active and not stopping.is_set():
            samples = source.rest()
            if not len(samples):
                stopping.wait(0.05)
                continue
            file = Path(self._folder.name) / f"{threading.get_ident()}.wav"
            try:
                wav.write(file, samples)
                process = subprocess.Popen(
                    [*self._command, str(file)],
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.DEVNULL,
                    start_new_session=True,
                )
            except (OSError, UserError) as error:
                self.error = f"{self._command[0]} cannot play: {error}"
                source.end()
                return
            self._follow(process, source, len(samples), stopping)
            file.unlink(missing_ok=True)

    def _follow(
        self, process: subprocess.Popen[bytes], source: Source, length: int, stopping: threading.Event
    ) -> None:
        """Move the source as time passes, until the player ends or has no more to play."""
        began, pulled = time.monotonic(), 0
        while process.poll() is None and source.active and not stopping.wait(0.02):
            due = min(length - 1, round((time.monotonic() - began) * self.rate))
            source.pull(max(0, due - pulled))
            pulled = max(pulled, due)
        status = process.poll()
        if status is None:
            process.terminate()
            process.wait()
        elif status == 0:
            self.error = ""
            source.pull(length - pulled)
        else:
            self.error = f"{self._command[0]} ended with status {status}"
            source.end()


def import_sounddevice() -> Any:
    """The package sounddevice, imported late: on Linux it fails without PortAudio. Raises UserError."""
    try:
        with quiet_stderr():
            import sounddevice
    except ImportError as error:
        raise UserError("the package sounddevice is not installed") from error
    except OSError as error:  # its wheels for Linux come without PortAudio
        raise UserError("PortAudio is missing; on Debian and Ubuntu: apt install libportaudio2") from error
    return sounddevice
