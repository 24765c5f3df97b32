"""Takes without speech by the built-in voice: made in the lab, kept, and made again by the command line."""

from __future__ import annotations

from pathlib import Path

import pytest

from valle_lab.cli import main
from valle_lab.lab import Lab
from valle_lab.player import Player
from valle_lab.settings import load_settings
from valle_lab.sinks import NullSink
from valle_lab.views import Look
from valle_lab.worker.inprocess import InProcessWorker


def test_a_voice_is_heard_and_a_text_measured_and_both_are_made_again(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folders = {"paths.sessions": str(tmp_path / "sessions"), "paths.out": str(tmp_path / "out")}
    settings = load_settings(None, {"seed": 7, "threads": 1, **folders})
    lab = Lab(settings, lambda on_news: InProcessWorker(), lambda: Player(NullSink()))
    lab.start()
    lab.wait()
    assert lab.description is not None and {"stt", "len"} <= set(lab.description.tasks)
    assert not {"phn", "un-phn"} & set(lab.description.tasks)
    lab.run("voice.trim", 0, 1.0)
    lab.run("mode.task", "stt")
    lab.run("take.speak")
    lab.wait()
    lab.run("mode.task", "len")
    lab.run("take.speak", "It rains.")
    lab.wait()
    heard, measured = lab.takes
    symbols = [lab.see(Look(heard.name, heard.timeline.place(row))) for row in range(3)]
    lab.wait()
    views = [view.result(0) for view in symbols]
    assert heard.answer.startswith("".join(view.symbols[view.token] for view in views))
    assert measured.answer.endswith(" s") and " frames, " in measured.answer
    session = lab.record.save()
    lab.close()
    assert main(["replay", "--mode", "exact", str(session)]) == 0
    assert capsys.readouterr().out.count("identical") == 2
