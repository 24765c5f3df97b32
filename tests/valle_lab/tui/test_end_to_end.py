"""The whole lab with the built-in voice: typed, tuned half-way, stopped, heard, saved, left, made again."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from textual.pilot import Pilot
from textual.widgets import TextArea

from valle_lab.cli import main
from valle_lab.lab import Lab
from valle_lab.player import Player
from valle_lab.settings import load_settings
from valle_lab.sinks import NullSink
from valle_lab.tui.app import LabApp
from valle_lab.worker.client import WorkerClient

PATIENCE = 200
HALF_WAY, END = 25, 50
REST = " while it speaks, and hear what the change has done to the voice and to all that comes after it"


@pytest.mark.timeout(300)
async def test_a_sitting_is_made_again_exactly(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    sink = NullSink()
    folders = {"paths.sessions": str(tmp_path / "sessions"), "paths.out": str(tmp_path / "out")}
    lab = Lab(
        load_settings(None, {"seed": 7, "threads": 1, **folders}),
        lambda on_news: WorkerClient(tmp_path / "worker.log", on_news=on_news),
        lambda: Player(sink),
    )
    app = LabApp(lab)
    async with app.run_test(size=(120, 40)) as pilot:
        await until(pilot, lambda: lab.description is not None and lab.player is not None)
        await pilot.press(*"Tune it")
        app.query_one(TextArea).insert(REST)
        await pilot.press("f4", "ctrl+g")
        await until(pilot, lambda: lab.chosen is not None and len(lab.chosen.timeline) >= HALF_WAY)
        await pilot.press("left")
        await until(pilot, lambda: lab.chosen is not None and len(lab.chosen.timeline) >= END)
        await pilot.press("escape")
        await until(pilot, lambda: lab.running is None)
        take = lab.takes[0]
        changed = [event for step in take.steps for event in step.events]
        assert [event.kind for event in changed] == ["set", "finish"]
        await pilot.press("ctrl+t")
        await until(pilot, lambda: lab.player is not None and lab.player.state == "playing")
        assert abs(sink.advance(1.0)).max() > 0.001
        await pilot.press("ctrl+s")
        await until(pilot, lambda: lab.record.file is not None and bool(list(tmp_path.glob("out/*.wav"))))
        await pilot.press("ctrl+q")
    assert app.return_code == 0 and lab.record.file is not None
    assert verdict(lab.record.file, capsys) == "identical"


async def until(pilot: Pilot[int], condition: Callable[[], bool]) -> None:
    """Let the app live until the condition holds."""
    for _ in range(PATIENCE * 20):
        if condition():
            return
        await pilot.pause(0.05)
    raise TimeoutError


def verdict(session: Path, capsys: pytest.CaptureFixture[str]) -> str:
    """What `valle-lab replay --mode exact` says."""
    capsys.readouterr()
    main(["replay", "--mode", "exact", "--json", str(session)])
    (answer,) = json.loads(capsys.readouterr().out)
    return str(answer["verdict"])
