"""The client's end of the phonemizer process: start, one JSON line out, one JSON line back, end."""

from __future__ import annotations

import contextlib
import json
import os
import queue
import subprocess
import sys
import tempfile
import threading
import weakref
from pathlib import Path
from typing import Any

_PACKAGE_ROOT = str(Path(__file__).resolve().parents[2])


class HelperError(Exception):
    """The process died, fell silent or talked nonsense; the message says which, with its last words."""


class Helper:
    """One running phonemizer process for one espeak voice.

    Its temporary files (phonemizer copies the espeak library for each process) and whatever it prints to
    fd 2 go to a folder that is removed with it, so that a killed process leaves nothing behind.
    """

    def __init__(self, voice: str) -> None:
        """Start the process and return at once. Raises HelperError if it cannot be started."""
        self._folder = tempfile.TemporaryDirectory(prefix="valle-phonemizer-", ignore_cleanup_errors=True)
        self._log = Path(self._folder.name) / "stderr.log"
        try:
            with self._log.open("wb") as log:
                self._process = subprocess.Popen(
                    [sys.executable, "-P", "-m", "valle.text.espeak", "--language", voice],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=log,
                    env=_environment(self._folder.name),
                    encoding="utf-8",
                    start_new_session=True,
                )
        except OSError as error:
            self._folder.cleanup()
            raise HelperError(f"could not be started: {error}") from error
        self._lines: queue.SimpleQueue[str] = queue.SimpleQueue()
        threading.Thread(target=_read, args=(self._process.stdout, self._lines), daemon=True).start()
        self._greeting: dict[str, Any] | None = None
        self._end = weakref.finalize(self, _end, self._process, self._folder)

    @property
    def pid(self) -> int:
        """The process id."""
        return self._process.pid

    def greeting(self, timeout: float) -> dict[str, Any]:
        """What the process said when it was ready: the versions. Raises HelperError."""
        if self._greeting is None:
            greeting = self._receive(timeout)
            if "espeak" not in greeting:
                raise HelperError(f"did not start: {greeting.get('error', greeting)}")
            self._greeting = greeting
        return self._greeting

    def ask(self, request: dict[str, Any], timeout: float) -> dict[str, Any]:
        """Send one request and wait up to `timeout` seconds for its reply. Raises HelperError."""
        self.greeting(timeout)
        stdin = self._process.stdin
        assert stdin is not None
        try:
            stdin.write(json.dumps(request) + "\n")
            stdin.flush()
        except (OSError, ValueError) as error:
            raise HelperError(f"ended{self._last_words()}") from error
        return self._receive(timeout)

    def alive(self) -> bool:
        """Whether the process runs."""
        return self._process.poll() is None

    def close(self) -> None:
        """End the process and remove its files."""
        self._end()

    def _receive(self, timeout: float) -> dict[str, Any]:
        try:
            line = self._lines.get(timeout=timeout)
        except queue.Empty:
            raise HelperError(f"gave no answer within {timeout:g} seconds") from None
        if not line:
            raise HelperError(f"ended{self._last_words()}")
        try:
            reply = json.loads(line)
        except ValueError:
            reply = None
        if not isinstance(reply, dict):
            raise HelperError(f"answered nonsense: {line[:80]!r}")
        return reply

    def _last_words(self) -> str:
        with contextlib.suppress(OSError):
            lines = self._log.read_text(encoding="utf-8", errors="replace").split("\n")
            said = [line.strip() for line in lines if line.strip()]
            return f": {said[-1][:200]}" if said else ""
        return ""


def _environment(folder: str) -> dict[str, str]:
    """This process's environment, with this package on the path and its own folder for temporary files."""
    path = os.pathsep.join(filter(None, [_PACKAGE_ROOT, os.environ.get("PYTHONPATH", "")]))
    own = {"PYTHONPATH": path, "TMPDIR": folder, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    return {**os.environ, **own}


def _read(stream: Any, lines: queue.SimpleQueue[str]) -> None:
    """Hand on each line, then an empty one for the end."""
    with contextlib.suppress(OSError, ValueError):
        for line in stream:
            lines.put(line)
    lines.put("")


def _end(process: subprocess.Popen[str], folder: tempfile.TemporaryDirectory[str]) -> None:
    """Close the requests, on which the process ends by itself; kill it if it does not."""
    assert process.stdin is not None
    with contextlib.suppress(OSError):
        process.stdin.close()
    try:
        process.wait(timeout=1.0)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    folder.cleanup()
