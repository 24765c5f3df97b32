"""The lab on screen beside the same model without it: is it there at once, does it answer, does it cost?

    python bench/lab.py
    python bench/lab.py --only keys --size 80x24
    python bench/lab.py --only memory --minutes 10

start: from the start of the process until the first frame is on a (pseudo) terminal, with compiled modules;
the least of them.
keys: from a key that moves a slider until the changed screen is sent out, while a take is made.
speed: steps a second of the same take with the screen and without, in turns; medians and their ratio.
paint: CPU of the lab's own process per second while a take is made, with the screen and without, in turns;
the difference is painting, the rest the journal and the steps as they come. The model has its own process.
heat: how often a heat map comes out otherwise while a take is made, each in front in turn: attention with its
map, the rounds of demasking, codes; the most within any second. Every such frame goes to the terminal.
memory: resident size of the lab and of the worker after each take, one after the other, with a small budget
for what can be made again, which is soon full; and what a take has come to cost in the second half.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import pty
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any

from textual.events import Key
from textual.pilot import Pilot
from textual.strip import Strip

from valle_lab.lab import Lab
from valle_lab.player import Player
from valle_lab.settings import load_settings
from valle_lab.sinks import NullSink
from valle_lab.tui import collect_from_now_on
from valle_lab.tui.app import LabApp
from valle_lab.tui.part import Picture
from valle_lab.tui.widgets.attention import AttentionPart
from valle_lab.tui.widgets.nar import NarLevels
from valle_lab.tui.widgets.slider import Slider
from valle_lab.tui.widgets.sound import SoundView
from valle_lab.worker.client import WorkerClient

TEXT = (
    "The rain had stopped before the morning, and the street was quiet. Nobody was there yet, not even the "
    "baker. Somewhere a window was opened, and a radio began to play an old song."
)
FIRST_FRAME = b"timeline"
PATIENCE = 300.0
SMALL_BUDGET = 0.02
"""GB for what can be made again."""
KEYS = 100
KEY_EVERY = 0.12
"""Seconds: between two beats of the strips, so that keys meet every moment of a beat."""


HEAT_MAPS: tuple[tuple[str, str, type[Picture]], ...] = (
    ("step", "attention", AttentionPart),
    ("step", "NAR", NarLevels),
    ("takes", "sound", SoundView),
)


class Stopwatch:
    """When the screen was last handed to the terminal."""

    def __init__(self, app: LabApp) -> None:
        self.shown = 0.0
        display = app._display

        def noted(*arguments: Any) -> None:
            display(*arguments)
            self.shown = time.perf_counter()

        app._display = noted  # type: ignore[method-assign, assignment]


def new_lab(home: Path, **changed: Any) -> Lab:
    """A lab with the real model process, no sound, and folders of its own."""
    paths = {"paths.out": str(home), "paths.sessions": str(home)}
    settings = load_settings(None, {"seed": 7, "max_duration": 12.0, **paths, **changed})
    return Lab(
        settings,
        lambda on_news: WorkerClient(home / "worker.log", on_news=on_news),
        lambda: Player(NullSink()),
    )


async def wait_until(condition: Callable[[], bool]) -> None:
    """Let the app live until the condition holds."""
    async with asyncio.timeout(PATIENCE):
        while not condition():
            await asyncio.sleep(0.01)


async def speak(lab: Lab) -> float:
    """Make the take to its end, and return its steps a second."""
    lab.run("take.speak", TEXT)
    begun = time.perf_counter()
    await wait_until(lambda: lab.running is None)
    assert lab.chosen is not None
    return len(lab.chosen.timeline) / (time.perf_counter() - begun)


async def without_screen(app: LabApp, lab: Lab) -> float:
    """The same with nobody looking: the journal and the timeline are kept, nothing is painted."""
    shown, beats = app._bench.show, list(app._bench._timers)
    app._bench.show = lambda news: None  # type: ignore[method-assign]
    for beat in beats:
        beat.pause()
    try:
        return await speak(lab)
    finally:
        app._bench.show = shown  # type: ignore[method-assign]
        for beat in beats:
            beat.resume()


async def on_screen(
    size: tuple[int, int], home: Path, work: Callable[[LabApp, Lab, Pilot[int]], Any], **changed: Any
) -> Any:
    """Do something in an app that has its model."""
    lab = new_lab(home, **changed)
    app = LabApp(lab)
    app.on_begun = collect_from_now_on
    async with app.run_test(size=size) as pilot:
        await wait_until(lambda: lab.description is not None)
        result = await work(app, lab, pilot)
    lab.close(discard=True)
    return result


def start(options: argparse.Namespace, home: Path) -> None:
    """Time the first frame."""
    first_frame(home)
    times = [first_frame(home) for _ in range(options.repeats)]
    print(f"start   first frame after {min(times):.2f} s (least of {len(times)}; 1 s is asked)")


def first_frame(home: Path) -> float:
    """Seconds from the start of the process until the screen has been drawn once."""
    environment = {**os.environ, "TERM": "xterm-256color", "COLUMNS": "120", "LINES": "40", "HOME": str(home)}
    # As installed: not every module compiled anew at each start.
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    terminal, inside = pty.openpty()
    begun = time.perf_counter()
    command = "import sys; from valle_lab.cli import main; sys.exit(main())"
    process = subprocess.Popen(
        [sys.executable, "-c", command],
        stdin=inside,
        stdout=inside,
        stderr=inside,
        env=environment,
        start_new_session=True,
    )
    os.close(inside)
    seen = b""
    while FIRST_FRAME not in seen:
        seen += os.read(terminal, 65536)
    taken = time.perf_counter() - begun
    process.terminate()
    process.wait()
    os.close(terminal)
    return taken


def keys(options: argparse.Namespace, home: Path) -> None:
    """Time keys while a take is made."""

    async def work(app: LabApp, lab: Lab, pilot: Pilot[int]) -> list[float]:
        watch = Stopwatch(app)
        await pilot.press("f4")
        await pilot.pause()
        slider = app.query(Slider).first()
        times = []
        for number in range(KEYS):
            if lab.running is None:
                lab.run("take.speak", TEXT)
                await wait_until(lambda: lab.chosen is not None and len(lab.chosen.timeline) > 5)
            before, begun = slider.value, time.perf_counter()
            app.post_message(Key("right" if number % 2 else "left", None))
            await wait_until(lambda: slider.value != before and watch.shown > begun)  # noqa: B023
            times.append(watch.shown - begun)
            await asyncio.sleep(KEY_EVERY)
        return times

    times = sorted(asyncio.run(on_screen(options.size, home, work)))
    p95 = times[int(0.95 * len(times))]
    print(f"keys    median {statistics.median(times) * 1e3:.0f} ms, p95 {p95 * 1e3:.0f} ms (50 ms is asked)")


def speed(options: argparse.Namespace, home: Path) -> None:
    """Compare the pace with the screen and without, in turns, on the same worker."""

    async def work(app: LabApp, lab: Lab, pilot: Pilot[int]) -> dict[str, list[float]]:
        rates: dict[str, list[float]] = {"alone": [], "screen": [], "attention": []}
        await speak(lab)
        for _ in range(options.repeats):
            rates["alone"].append(await without_screen(app, lab))
            rates["screen"].append(await speak(lab))
            app.action_pane_tab("step", "attention")
            rates["attention"].append(await speak(lab))
            app.action_pane_tab("step", "waterfall")
        return rates

    rates = {
        name: statistics.median(values)
        for name, values in asyncio.run(on_screen(options.size, home, work)).items()
    }
    for name, most in (("screen", "10%"), ("attention", "15%")):
        slower = 1 - rates[name] / rates["alone"]
        print(
            f"speed   {name}: {rates[name]:.1f} steps/s, alone {rates['alone']:.1f}: "
            f"{slower:+.1%} slower ({most} is asked)"
        )


def paint(options: argparse.Namespace, home: Path) -> None:
    """Weigh the lab's own CPU while a take is made."""

    async def weigh(made: Awaitable[float]) -> tuple[float, float]:
        """Seconds of CPU a step, and steps a second."""
        begun, cpu = time.perf_counter(), time.process_time()
        rate = await made
        return (time.process_time() - cpu) / (rate * (time.perf_counter() - begun)), rate

    async def work(app: LabApp, lab: Lab, pilot: Pilot[int]) -> list[tuple[float, float, float]]:
        await speak(lab)
        found = []
        for _ in range(options.repeats):
            alone, _ = await weigh(without_screen(app, lab))
            shown, rate = await weigh(speak(lab))
            found.append((1e3 * (shown - alone) * rate, 1e3 * alone * rate, rate))
        return found

    found = asyncio.run(on_screen(options.size, home, work))
    painting, rest, rate = (statistics.median(column) for column in zip(*found, strict=True))
    print(
        f"paint   {painting:.0f} ms of CPU a second at {rate:.0f} steps/s (100 ms is asked); "
        f"the journal and the steps {rest:.0f} ms"
    )


def heat(options: argparse.Namespace, home: Path) -> None:
    """Count the frames of the heat maps."""

    async def work(app: LabApp, lab: Lab, pilot: Pilot[int]) -> dict[str, list[float]]:
        found = {}
        for pane, tab, kind in HEAT_MAPS:
            app.action_pane_tab(pane, tab)
            await pilot.pause()
            part = next(part for part in app.query(kind) if part.is_on_screen)
            if isinstance(part, AttentionPart):
                part.action_map()
            lab.run("mode.choose", "nar-len" if isinstance(part, NarLevels) else "auto")
            found[tab] = noted_frames(part)
            await speak(lab)
        return found

    for name, times in asyncio.run(on_screen(options.size, home, work)).items():
        most = max((sum(begun <= time < begun + 1 for time in times) for begun in times), default=0)
        lasted = times[-1] - times[0] if len(times) > 1 else 0.0
        print(f"heat    {name}: {len(times)} frames in {lasted:.1f} s, {most} in a second (below 5 is asked)")


def noted_frames(part: Picture) -> list[float]:
    """When a part is drawn otherwise than before, from now on."""
    times: list[float] = []
    draw = part.draw

    def noted(lines: Sequence[Strip]) -> None:
        if tuple(lines) != tuple(part._drawn):
            times.append(time.perf_counter())
        draw(lines)

    part.draw = noted  # type: ignore[method-assign]
    return times


def memory(options: argparse.Namespace, home: Path) -> None:
    """Watch the resident size while takes are made and dropped from the worker's hands."""

    async def work(app: LabApp, lab: Lab, pilot: Pilot[int]) -> list[tuple[float, float]]:
        assert isinstance(lab.worker, WorkerClient)
        end = time.monotonic() + 60 * options.minutes
        sizes = []
        while time.monotonic() < end:
            await speak(lab)
            sizes.append((resident(os.getpid()), resident(lab.worker.process_id)))
            here, there = sizes[-1]
            print(f"memory  {len(sizes)} takes: lab {here:.0f} MB, worker {there:.0f} MB", flush=True)
        return sizes

    sizes = asyncio.run(on_screen(options.size, home, work, memory_budget_gb=SMALL_BUDGET))
    later = sizes[len(sizes) // 2 :]
    if len(later) > 1:
        lab, worker = ((one[-1] - one[0]) / (len(later) - 1) for one in zip(*later, strict=True))
        print(f"memory  a take costs {lab:+.2f} MB in the lab, {worker:+.2f} MB in the worker")


def resident(process: int) -> float:
    """Resident size in MB."""
    pages = int(Path(f"/proc/{process}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


MEASUREMENTS = {
    "start": start, "keys": keys, "speed": speed, "paint": paint, "heat": heat, "memory": memory,
}  # fmt: skip


def main() -> None:
    """Measure what is asked for, or all."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", nargs="+", choices=list(MEASUREMENTS), default=list(MEASUREMENTS))
    parser.add_argument("--size", default="200x50", help="columns x rows")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--minutes", type=float, default=1.0, help="of making takes, for memory")
    options = parser.parse_args()
    options.size = tuple(int(number) for number in options.size.split("x"))
    for name in options.only:
        with tempfile.TemporaryDirectory() as home:
            MEASUREMENTS[name](options, Path(home))


if __name__ == "__main__":
    main()
