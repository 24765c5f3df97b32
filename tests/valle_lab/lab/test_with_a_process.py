"""The lab with a real model process, killed in the middle of a take: nothing that was made is lost."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

from valle_lab.lab import Lab
from valle_lab.player import Player
from valle_lab.session.save import load_session
from valle_lab.settings import load_settings
from valle_lab.sinks import NullSink
from valle_lab.worker.client import WorkerClient


def poll_until(lab: Lab, done: Callable[[], bool], seconds: float = 60) -> list[str]:
    """Poll until something holds; what was told meanwhile."""
    told: list[str] = []
    end = time.monotonic() + seconds
    while not done() and time.monotonic() < end:
        told += [notice.text for notice in lab.poll().notices]
        time.sleep(0.02)
    assert done()
    return told


def test_a_killed_worker_costs_nothing_that_was_made(tmp_path: Path) -> None:
    paths = {"paths.sessions": str(tmp_path / "sessions")}
    lab = Lab(
        load_settings(None, paths),
        lambda on_news: WorkerClient(tmp_path / "log", on_news=on_news, engine="fake_engine:factory"),
        lambda: Player(NullSink()),
    )
    lab.voice = None
    lab.start()
    lab.wait()
    take = lab.run("take.speak", "A long slow sentence that is never ended.")
    poll_until(lab, lambda: len(take.steps) >= 5)
    assert isinstance(lab.worker, WorkerClient)
    os.kill(lab.worker.process_id, signal.SIGKILL)
    told = poll_until(
        lab, lambda: lab.worker is not None and lab.worker.death is not None and not take.running
    )
    told += [notice.text for notice in lab.poll().notices]
    assert len(told) == 1 and "SIGKILL" in told[0] and "\n" not in told[0]
    lab.run("model.restart")
    lab.wait()
    lab.run("take.speak", "More.")
    lab.wait()
    kept, more = load_session(lab.record.save()).takes
    assert kept.segments[0].stop == "cancel" and more.segments[0].stop == "stop"
    assert kept.segments[0].levels[0].values().tolist() == [int(step.tokens[0]) for step in take.steps]
    lab.close()
