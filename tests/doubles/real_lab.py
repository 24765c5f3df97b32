"""A lab without a screen that speaks with the built-in voice, for tests that end it."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

from valle_lab.lab import Lab
from valle_lab.player import Player
from valle_lab.settings import load_settings
from valle_lab.sinks import NullSink
from valle_lab.worker.client import WorkerClient

PATIENCE = 120.0


def make_lab(folder: str | Path) -> Lab:
    """A lab without a screen, with a real model process and the built-in voice."""
    chosen = {"paths.sessions": str(folder), "seed": 3, "max_duration": 20.0, "threads": 1, "device": "cpu"}
    log = Path(folder) / "worker.log"
    return Lab(
        load_settings(None, chosen),
        lambda on_news: WorkerClient(log, on_news=on_news),
        lambda: Player(NullSink()),
    )


def wait_until(done: Callable[[], object]) -> None:
    """Wait for it, and fail after two minutes."""
    end = time.monotonic() + PATIENCE
    while not done():
        assert time.monotonic() < end
        time.sleep(0.05)
