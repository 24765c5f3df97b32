"""The doubles of the engine and the worker, on the path of the tests and of the processes they start."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

DOUBLES = str(Path(__file__).parent / "doubles")
if DOUBLES not in sys.path:
    sys.path.insert(0, DOUBLES)
    os.environ["PYTHONPATH"] = os.pathsep.join([DOUBLES, *filter(None, [os.environ.get("PYTHONPATH")])])


@pytest.fixture(autouse=True)
def quick_lab(monkeypatch: pytest.MonkeyPatch) -> None:
    """A lab looks again at once: a worker in its own process never says that something has arrived."""
    monkeypatch.setattr("valle_lab.lab.lab.TICK", 0.002)
