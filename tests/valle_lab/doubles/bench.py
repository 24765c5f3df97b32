"""A lab with a fake worker and a silent device, and what it told."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from fake_worker import FakeWorker

from valle_lab.lab import Lab
from valle_lab.lab.state import Notice
from valle_lab.player import Player
from valle_lab.settings import load_settings
from valle_lab.sinks import NoSink, NullSink


class Bench:
    """A lab without a screen, ready to be used."""

    def __init__(
        self, folder: Path, *, audible: bool = True, hold_load: bool = False, **settings: object
    ) -> None:
        self.workers: list[FakeWorker] = []
        self._hold_load = hold_load
        self.sink = NullSink() if audible else NoSink("no device")
        paths = {
            f"paths.{name}": str(folder / name) for name in ("sessions", "out", "voices", "presets", "models")
        }
        self.lab = Lab(load_settings(None, {**paths, **settings}), self._worker, lambda: Player(self.sink))
        self.lab.start()
        if not hold_load:
            self.lab.wait()

    def _worker(self, on_news: Callable[[], None]) -> FakeWorker:
        self.workers.append(FakeWorker(hold_load=self._hold_load))
        return self.workers[-1]

    def told(self) -> list[Notice]:
        return list(self.lab.poll().notices)

    def speak(self, text: str = "Some words.", steps: int = 1_000_000) -> None:
        """Begin a take and let it do so many steps."""
        self.lab.run("take.speak", text)
        self.workers[-1].allow(steps)
        self.lab.poll()
        if steps == 1_000_000:
            self.lab.wait()
        else:
            self.workers[-1].allowed = 0
