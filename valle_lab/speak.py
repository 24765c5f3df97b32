"""One take from its first step to its last, with nobody's hands on it but a schedule's and Ctrl-C's."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

from valle.step import Step
from valle_lab.worker.surface import Speaking


def speak(speaking: Speaking, watch: Callable[[Step], None]) -> bool:
    """Iterate a take to its end; `watch` sees every step before the next one is computed.

    The first Ctrl-C cancels the take, so that what was made so far is a take that can be replayed; a second
    one raises KeyboardInterrupt. Returns whether there was one.
    """
    interrupted = False

    def stop(_: int, __: FrameType | None) -> None:
        nonlocal interrupted
        if interrupted:
            raise KeyboardInterrupt
        interrupted = True

    cancelled = False
    with _at_interrupt(stop):
        for step in speaking:
            watch(step)
            # Not in the handler: a signal may come while the take's own lock is held.
            if interrupted and not cancelled:
                cancelled = True
                speaking.cancel()
    return interrupted


@contextmanager
def _at_interrupt(handler: Callable[[int, FrameType | None], None]) -> Iterator[None]:
    try:
        before = signal.signal(signal.SIGINT, handler)
    except ValueError:  # only a program's main thread is told of signals
        yield
        return
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
