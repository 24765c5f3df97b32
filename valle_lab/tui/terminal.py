"""The terminal for the screen alone: whatever C libraries write to fd 2 goes to a log."""

from __future__ import annotations

import errno
import os
import signal
import sys
import termios
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_LOOKS_EVERY = 1.0
"""Seconds from one look whether the terminal is still there to the next."""


@contextmanager
def own_terminal(log: Path) -> Iterator[None]:
    """While this holds, Python's stderr is a duplicate of the terminal, for Textual, and fd 2 is a log.

    The terminal is fd 2, or where that was sent elsewhere (`valle-lab 2> file`) fd 1. `sys.stderr` goes with
    it, so that a crash's traceback reaches the person. Raises OSError for a log that cannot be written.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    before = sys.stderr, sys.__stderr__
    before_fd = os.dup(2)
    terminal = os.fdopen(os.dup(2 if os.isatty(2) else 1), "w", encoding="utf-8", errors="backslashreplace")
    noise = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    os.dup2(noise, 2)
    os.close(noise)
    sys.stderr = sys.__stderr__ = terminal  # type: ignore[misc]
    try:
        yield
    finally:
        terminal.flush()
        os.dup2(before_fd, 2)
        os.close(before_fd)
        sys.stderr, sys.__stderr__ = before  # type: ignore[misc]
        terminal.close()


def hung_up(fd: int = 0) -> bool:
    """Whether the terminal behind a file descriptor is gone: its window closed, its connection lost."""
    try:
        termios.tcgetattr(fd)
    except termios.error as error:
        return bool(error.args[0] == errno.EIO)
    return False


@contextmanager
def ending_with_terminal() -> Iterator[None]:
    """While this holds, the process ends by SIGHUP as soon as its terminal is gone.

    Not everybody who leads a session passes the hangup on: make waits for its child. The thread is one of its
    own, as Textual's waits for ever to have something written to a terminal that is gone.
    """
    over = threading.Event()
    # Under nohup it would be ignored, but a screen without a terminal is nothing to go on with.
    signal.signal(signal.SIGHUP, signal.SIG_DFL)

    def watch() -> None:
        while not over.wait(_LOOKS_EVERY):
            if hung_up():
                os.kill(os.getpid(), signal.SIGHUP)

    threading.Thread(target=watch, name="terminal", daemon=True).start()
    try:
        yield
    finally:
        over.set()
