"""A lab on a screen of any size, with a fake worker, a silent device and folders of its own."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from time import monotonic, process_time
from typing import Any

import pytest
from fake_worker import FakeWorker
from textual.pilot import Pilot

from valle_lab.lab import Lab
from valle_lab.player import Player
from valle_lab.settings import load_settings
from valle_lab.sinks import NullSink
from valle_lab.tui.app import LabApp
from valle_lab.tui.widgets.status import NoticeLine

FRAME, GLANCE = 0.004, 0.01
"""Seconds from frame to frame, and for which an app is watched that may be idle: any frame that is due comes
meanwhile. Textual takes a sixtieth and a fiftieth, the latter twice a key.
"""


async def idle(least: float = 0.0, most: float = 1.0) -> None:
    """Wait until this process has next to nothing to do, and was not merely kept from doing it."""
    begun = monotonic()
    while True:
        wall, work = monotonic(), process_time()
        await asyncio.sleep(GLANCE)
        now = monotonic()
        rested = process_time() - work < 0.05 * GLANCE and now - wall < 2 * GLANCE
        if now - begun >= most or (rested and now - begun > least):
            return


@pytest.fixture(autouse=True)
def quick_pilot(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keys follow each other as soon as the app rests."""
    monkeypatch.setattr("textual.screen.UPDATE_PERIOD", FRAME)
    monkeypatch.setattr("textual.pilot.wait_for_idle", idle)
    monkeypatch.setattr("textual.app.wait_for_idle", idle)


class Stage:
    """An app that runs, and hands on it."""

    def __init__(self, folder: Path, hold_load: bool = False, **settings: object) -> None:
        self.workers: list[FakeWorker] = []
        self.hold_load = hold_load
        paths = {"paths.sessions": str(folder / "sessions"), "paths.out": str(folder / "out")}
        self.lab = Lab(
            load_settings(None, {**paths, "seed": 7, **settings}), self._worker, lambda: Player(NullSink())
        )
        self.app = LabApp(self.lab)
        self.pilot: Pilot[int]

    @property
    def worker(self) -> FakeWorker:
        """The worker that lives."""
        return self.workers[-1]

    @property
    def lines(self) -> list[str]:
        """What is on the screen."""
        return [strip.text for strip in self.app.screen._compositor.render_strips(self.app.size)]

    @property
    def text(self) -> str:
        """What is on the screen, as one text."""
        return "\n".join(self.lines)

    @property
    def notice(self) -> str:
        """The last thing that the lab had to say."""
        return str(self.app.query_one(NoticeLine).content)

    @property
    def notice_here(self) -> str:
        """The last thing said on the screen that is in front."""
        return str(self.app.screen.query_one(NoticeLine).content)

    async def settle(self) -> None:
        """Take in what has come and paint it."""
        self.app.poll()
        await self.pilot.pause()

    async def until(self, holds: Callable[[], bool]) -> None:
        """Let the app live until something holds; fail after a good while."""
        end = monotonic() + 30
        while not holds():
            assert monotonic() < end, self.text
            await self.settle()

    async def speak(self, text: str = "Some words", steps: int = 1_000_000) -> None:
        """Begin a take and let it do so many steps."""
        self.worker.allow(0)
        self.app.do("take.speak", text)
        self.worker.allow(steps)
        await self.settle()
        await self.settle()
        self.worker.allow(0)

    def _worker(self, on_news: Callable[[], None]) -> FakeWorker:
        self.workers.append(FakeWorker(hold_load=self.hold_load))
        return self.workers[-1]


OpenStage = Callable[..., AbstractAsyncContextManager[Stage]]


@pytest.fixture
def stage(tmp_path: Path) -> OpenStage:
    """Opens the lab's app: `async with stage(size=(80, 24), seed=7) as s`."""

    @asynccontextmanager
    async def opened(
        size: tuple[int, int] = (100, 30), hold_load: bool = False, **settings: Any
    ) -> AsyncIterator[Stage]:
        made = Stage(tmp_path, hold_load, **settings)
        async with made.app.run_test(size=size) as pilot:
            made.pilot = pilot
            await pilot.pause()
            for _ in range(20):
                await made.settle()
                if made.lab.player is not None and (hold_load or made.lab.description is not None):
                    break
                await pilot.pause(0.01)
            yield made

    return opened
