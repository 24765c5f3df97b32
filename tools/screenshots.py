"""Take the picture of the lab that the readme shows: the real app, worker and voice, without a terminal.

python tools/screenshots.py docs/images
"""

from __future__ import annotations

import argparse
import asyncio
import tempfile
from pathlib import Path

from valle_lab.lab import Lab
from valle_lab.player import Player
from valle_lab.settings import load_settings
from valle_lab.sinks import open_sink
from valle_lab.tui.app import LabApp
from valle_lab.worker.client import WorkerClient

TEXT = "Every choice this voice makes can be seen, changed and made again."
SIZES = {"lab": (120, 34), "lab-80x24": (80, 24), "lab-200x50": (200, 50)}
PATIENCE = 120.0
"""Seconds to wait for the model, and for the take."""


async def wait_until(app: LabApp, condition: object) -> None:
    """Let the app live until `condition()` holds; TimeoutError if it does not in time."""
    async with asyncio.timeout(PATIENCE):
        while not condition():  # type: ignore[operator]
            await asyncio.sleep(0.1)
    await asyncio.sleep(0.5)


async def picture(folder: Path, name: str, size: tuple[int, int], home: Path) -> None:
    """Speak once in a lab of this size, change the stack half-way, and write what is on the screen."""
    settings = load_settings(
        None, {"seed": 7, "audio.sink": "none", "paths.out": str(home), "paths.sessions": str(home)}
    )
    lab = Lab(
        settings,
        lambda on_news: WorkerClient(home / "worker.log", on_news=on_news),
        lambda: Player(open_sink("none", "auto", "auto")),
    )
    app = LabApp(lab)
    async with app.run_test(size=size) as pilot:
        await wait_until(app, lambda: lab.description is not None)
        lab.run("text.set", TEXT)
        lab.run("take.speak")
        await wait_until(app, lambda: lab.running is None and lab.takes)
        await pilot.pause()
        (folder / f"{name}.svg").write_text(app.export_screenshot(), encoding="utf-8")
    lab.close(discard=True)


def main() -> None:
    """Write one picture a size."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    folder = parser.parse_args().folder
    folder.mkdir(parents=True, exist_ok=True)
    for name, size in SIZES.items():
        with tempfile.TemporaryDirectory() as home:
            asyncio.run(picture(folder, name, size, Path(home)))
        print(folder / f"{name}.svg")


if __name__ == "__main__":
    main()
