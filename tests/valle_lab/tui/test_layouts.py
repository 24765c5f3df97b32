"""How the screen looks at three sizes, pane by pane and question by question."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from fake_worker import FakeWorker
from textual.pilot import Pilot
from textual.widgets import Input, TextArea

from valle_lab.lab import Lab, trials
from valle_lab.player import Player
from valle_lab.settings import load_settings
from valle_lab.sinks import NullSink
from valle_lab.tui.app import LabApp
from valle_lab.tui.widgets.phonemes import PhonemeLine

SIZES = [(80, 24), (120, 40), (200, 50)]
TAB = "right_square_bracket"
DOWN = "shift+right"


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
        self.app.query_one(PhonemeLine).ask()
        self.app.do("stack.set", "temperature.value", 0.7)
        self.worker.allow(30)
        self.app.poll()
        self.worker.allow(0)
        self.app.beat()
        await pilot.pause()

    def after(self, *keys: str) -> Callable[[Pilot[int]], Any]:
        """In the middle of a take, with these keys pressed."""

        async def press(pilot: Pilot[int]) -> None:
            await self.mid_take(pilot)
            for key in keys:
                await pilot.press(key)
                await pilot.pause()
            for entry in (*self.app.screen.query(Input), *self.app.screen.query(TextArea)):
                entry._pause_blink(visible=entry.has_focus)
                entry.refresh()
            for _ in range(3):
                self.app.poll()
                self.app.beat()
                await pilot.pause()

        return press

    def branched(self, *commands: tuple[Any, ...]) -> Callable[[Pilot[int]], Any]:
        """With a take, a fork of it, and these commands done."""

        async def do(pilot: Pilot[int]) -> None:
            await self.ready(pilot)
            self.app.do("text.set", "The rain had stopped before the morning.")
            await self._speak("The rain had stopped before the morning.", 1_000_000)
            for name, *arguments in (("fork.force", 7, "0/ar.0:30"), *commands):
                self.app.do(name, *arguments)
                self.worker.allow()
                for _ in range(60):
                    await pilot.pause()
                    self.app.poll()
                    if not self.lab.busy:
                        break
                self.app.beat()
                await pilot.pause()
            self.app.query_one(PhonemeLine).ask()
            self.app.poll()
            await pilot.pause()

        return do

    async def _speak(self, text: str, steps: int) -> None:
        self.app.do("take.speak", text)
        self.worker.allow(steps)
        self.app.poll()
        self.app.poll()
        self.worker.allow(0)


@pytest.fixture
def sitting(tmp_path: Path) -> Sitting:
    return Sitting(tmp_path)


@pytest.mark.parametrize("size", SIZES, ids=str)
def test_a_fresh_lab(snap_compare: Callable[..., bool], sitting: Sitting, size: tuple[int, int]) -> None:
    assert snap_compare(sitting.app, terminal_size=size, run_before=sitting.ready)


@pytest.mark.parametrize("size", [*SIZES, (100, 30), (60, 18), (50, 15)], ids=str)
def test_a_take_as_it_runs(
    snap_compare: Callable[..., bool], sitting: Sitting, size: tuple[int, int]
) -> None:
    assert snap_compare(sitting.app, terminal_size=size, run_before=sitting.mid_take)


SHOWN = {
    "asking": ("f3",),
    "waterfall": ("f6",),
    "histogram": ("f6", TAB),
    "candidates": ("f6", TAB, TAB),
    "attention": ("f6", TAB, TAB, TAB, "m"),
    "nar": ("f7", "k", "f6", *[TAB] * 4),
    "takes": ("f7",),
    "sound": ("f7", "k", TAB),
    "voices": ("f7", TAB, TAB),
    "timeline-zoomed": ("f5", *[DOWN] * 3, "plus", "plus", "f10"),
    "stack-zoomed": ("f4", "f10"),
}


@pytest.mark.parametrize("keys", SHOWN.values(), ids=SHOWN)
def test_a_pane_where_it_is_narrow(
    snap_compare: Callable[..., bool], sitting: Sitting, keys: tuple[str, ...]
) -> None:
    assert snap_compare(sitting.app, terminal_size=(80, 24), run_before=sitting.after(*keys))


ASKED = {
    "curve": ("f4", "v"),
    "condition": ("f4", "w"),
    "note": ("f7", "i", *"Clear [/]"),
    "command": ("f2", *"stack.set t"),
    "leave": ("ctrl+q",),
    "jump": ("ctrl+o",),
    "cursor": ("f5", *[DOWN] * 4),
    "attention": ("f6", TAB, TAB, TAB, "m"),
}


@pytest.mark.parametrize("keys", ASKED.values(), ids=ASKED)
def test_what_is_asked_and_shown_over_it(
    snap_compare: Callable[..., bool], sitting: Sitting, keys: tuple[str, ...]
) -> None:
    assert snap_compare(sitting.app, terminal_size=(120, 40), run_before=sitting.after(*keys))


OTHER_TAKE: tuple[tuple[Any, ...], ...] = (("seed.set", 9), ("take.speak",))
BRANCHED: dict[str, tuple[tuple[Any, ...], ...]] = {
    "tree-and-what-if": (("whatif.follow",), ("stack.set", "temperature.value", 0.3)),
    "sheet": (("sheet.make", 4), ("sheet.next",), ("sheet.drop",)),
    "trial": (*OTHER_TAKE, ("trial.open", "1 3"), ("trial.play", "X")),
    "trial-decided": (
        *(*OTHER_TAKE, ("trial.open", "1 3"), ("trial.play", "X"), ("trial.play", "Y")),
        ("trial.choose", "Y"),
    ),
}


@pytest.mark.parametrize("name", BRANCHED)
def test_branches_sheets_and_trials(
    snap_compare: Callable[..., bool], sitting: Sitting, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setattr(trials, "new_salt", lambda: "0" * 64)
    monkeypatch.setattr(random.SystemRandom, "shuffle", lambda self, order: None)
    assert snap_compare(sitting.app, terminal_size=(120, 40), run_before=sitting.branched(*BRANCHED[name]))


def test_the_colours_of_the_terminal(snap_compare: Callable[..., bool], sitting: Sitting) -> None:
    async def ansi(pilot: Pilot[Any]) -> None:
        await sitting.mid_take(pilot)
        pilot.app.theme = "ansi-dark"
        await pilot.pause()

    assert snap_compare(sitting.app, terminal_size=(80, 24), run_before=ansi)
