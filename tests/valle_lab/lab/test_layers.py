"""Commands on layers: what the next take is asked for."""

from __future__ import annotations

from pathlib import Path

import pytest
from fake_worker import FakeWorker

from valle.early_exit import EarlyExit
from valle.errors import UserError
from valle_lab.lab import Lab
from valle_lab.lab.beginning import ask
from valle_lab.player import Player
from valle_lab.settings import load_settings
from valle_lab.sinks import NullSink


def test_layers_of_the_next_take(tmp_path: Path) -> None:
    settings = load_settings(None, {"paths.sessions": str(tmp_path)})
    lab = Lab(settings, lambda _: FakeWorker(), lambda: Player(NullSink()))
    assert ask(lab, "Hello.").early_exit is None
    assert lab.run_line("layers.leave 3 1.5 2.5") == EarlyExit(3, 1.5, 2.5)
    assert ask(lab, "Hello.").early_exit == EarlyExit(3, 1.5, 2.5)
    lab.run_line("layers.leave 2")
    assert ask(lab, "Hello.").early_exit == EarlyExit(2)
    lab.run_line("layers.draft 3 5")
    assert ask(lab, "Hello.").early_exit == EarlyExit(3, draft=5)
    with pytest.raises(UserError, match="exit layer must be from 1"):
        lab.run_line("layers.draft 0 5")
    lab.start()
    lab.wait()
    with pytest.raises(UserError, match="exit layer 4 leaves nothing out of a model of 4 layers"):
        lab.run_line("layers.leave 4")
    assert ask(lab, "Hello.").early_exit == EarlyExit(3, draft=5)
    lab.run_line("layers.all")
    assert ask(lab, "Hello.").early_exit is None
    lab.close(discard=True)
