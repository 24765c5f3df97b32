"""Take the pictures of the lab that the documentation shows: the real app, worker and voice, no terminal.

python tools/screenshots.py docs/images [NAME ...]
"""

from __future__ import annotations

import argparse
import asyncio
import re
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from textual.pilot import Pilot

from valle_lab.lab import Lab
from valle_lab.player import Player
from valle_lab.settings import load_settings
from valle_lab.sinks import NullSink
from valle_lab.tui.app import LabApp
from valle_lab.worker.client import WorkerClient

TEXT = "Every choice this voice makes can be seen, changed and made again."
PATIENCE = 240.0
"""Seconds to wait for the model, and for a take."""
CHANGED_AT = 60
"""The step at which a slider is moved."""


@dataclass(frozen=True)
class Picture:
    """A size, what is pressed once a take is made, and whether the second take is still running."""

    size: tuple[int, int]
    keys: Sequence[str] = ()
    running: bool = False


NEXT_TAB = "right_square_bracket"
PICTURES = {
    "lab": Picture((120, 40), ("f4",), running=True),
    "lab-80x24": Picture((80, 24), ("f4",), running=True),
    "lab-200x50": Picture((200, 50), ("f5", "home", *["shift+right"] * 4), running=True),
    "candidates": Picture((120, 40), ("f5", "n", "n", "f6", NEXT_TAB, NEXT_TAB)),
    "attention": Picture((120, 40), ("f5", *["H"] * 9, "f6", *[NEXT_TAB] * 3, "m", "down", "down")),
    "voices": Picture((120, 40), ("f7", NEXT_TAB, NEXT_TAB, "down", "down", "f10")),
}


async def wait_until(app: LabApp, condition: Callable[[], bool]) -> None:
    """Let the app live until `condition()` holds; TimeoutError if it does not in time."""
    async with asyncio.timeout(PATIENCE):
        while not condition():
            await asyncio.sleep(0.05)
    await asyncio.sleep(0.2)


async def speak(app: LabApp, lab: Lab) -> None:
    """A whole take, with a slider moved while it is made."""
    lab.run("text.set", TEXT)
    lab.run("take.speak")
    await wait_until(app, lambda: lab.chosen is not None and len(lab.chosen.timeline) >= CHANGED_AT)
    app.do("stack.set", "temperature.value", 0.8)
    await wait_until(app, lambda: lab.running is None)


async def press(app: LabApp, pilot: Pilot[int], keys: Sequence[str]) -> None:
    """Press the keys, with time for what they ask of the worker."""
    for key in keys:
        await pilot.press(key)
        await pilot.pause(0.3)
    await wait_until(app, lambda: not lab_busy(app))
    await pilot.pause(1.2)


def lab_busy(app: LabApp) -> bool:
    """Whether an answer is awaited, apart from those of a take that is being made."""
    return bool(app.lab.answers)


async def picture(folder: Path, name: str, wanted: Picture, home: Path) -> None:
    """Write one picture."""
    settings = load_settings(None, {"seed": 7, "paths.out": str(home), "paths.sessions": str(home)})
    lab = Lab(
        settings,
        lambda on_news: WorkerClient(home / "worker.log", on_news=on_news),
        lambda: Player(NullSink()),
    )
    app = LabApp(lab)
    async with app.run_test(size=wanted.size) as pilot:
        await wait_until(app, lambda: lab.description is not None)
        await speak(app, lab)
        if wanted.running:
            lab.run("take.speak")
            await wait_until(app, lambda: lab.running is None or len(lab.running.timeline) >= CHANGED_AT)
            app.do("stack.set", "top_k.k", 20)
            await wait_until(app, lambda: lab.running is None or len(lab.running.timeline) >= 2 * CHANGED_AT)
        await press(app, pilot, wanted.keys)
        # Ids of the SVG's classes are made from its content's hash, which changes nothing that is seen.
        drawn = re.sub(r"terminal-\d+", "terminal", app.export_screenshot())
        (folder / f"{name}.svg").write_text(drawn, encoding="utf-8")
    lab.close(discard=True)


def main() -> None:
    """Write the pictures that are named, or all."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("names", nargs="*", default=[])
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    for name in options.names or PICTURES:
        with tempfile.TemporaryDirectory() as home:
            asyncio.run(picture(options.folder, name, PICTURES[name], Path(home)))
        print(options.folder / f"{name}.svg")


if __name__ == "__main__":
    main()
