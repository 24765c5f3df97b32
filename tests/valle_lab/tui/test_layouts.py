"""How the screen looks at its smallest and its largest."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from fake_worker import FakeWorker
from textual.pilot import Pilot

from valle_lab.lab import Lab
from valle_lab.player import Player
from valle_lab.settings import load_settings
from valle_lab.sinks import NullSink
from valle_lab.tui.app import LabApp

SIZES = [(80, 24), (200, 50)]


class Sitting:
    """An app whose every number is the same each time."""

    def __init__(self, folder: Path) -> None:
        self.worker = FakeWorker()
        paths = {"paths.sessions": str(folder / "sessions"), "paths.out": str(folder / "out")}
        settings = load_settings(None, {**paths, "seed": 7})
        self.lab = Lab(settings, lambda on_news: self.worker, lambda: Player(NullSink()))
        self.app = LabApp(self.lab)

    async def ready(self, pilot: Pilot[int]) -> None:
        """Wait for the model and the sound device."""
        while self.lab.player is None or self.lab.description is None:
            await pilot.pause(0.01)
            self.app.poll()
        self.app.screen.set_focus(None)
        await pilot.pause()

    async def mid_take(self, pilot: Pilot[int]) -> None:
        """A finished take, and another one after 300 steps with one change."""
        await self.ready(pilot)
        self.app.do("text.set", "The rain had stopped before the morning.")
        await self._speak("The rain had stopped before the morning.", 1_000_000)
        await self._speak("A second sentence that is much longer than the first one. " * 3, 150)
        self.app.do("stack.set", "temperature.value", 0.7)
        self.worker.allow(30)
        self.app.poll()
        self.worker.allow(0)
        await pilot.pause()

    async def _speak(self, text: str, steps: int) -> None:
        self.app.do("take.speak", text)
        self.worker.allow(steps)
        self.app.poll()
        self.app.poll()
        self.worker.allow(0)


@pytest.fixture
def sitting(tmp_path: Path) -> Sitting:
    return Sitting(tmp_path)


@pytest.mark.parametrize("size", SIZES)
def test_a_fresh_lab(snap_compare: Callable[..., bool], sitting: Sitting, size: tuple[int, int]) -> None:
    assert snap_compare(sitting.app, terminal_size=size, run_before=sitting.ready)


@pytest.mark.parametrize("size", SIZES)
def test_a_take_as_it_runs(
    snap_compare: Callable[..., bool], sitting: Sitting, size: tuple[int, int]
) -> None:
    assert snap_compare(sitting.app, terminal_size=size, run_before=sitting.mid_take)


def test_the_question_before_takes_are_lost(snap_compare: Callable[..., bool], sitting: Sitting) -> None:
    async def ask(pilot: Pilot[Any]) -> None:
        await sitting.mid_take(pilot)
        await pilot.press("ctrl+q")

    assert snap_compare(sitting.app, terminal_size=(80, 24), run_before=ask)
