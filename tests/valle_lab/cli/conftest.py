"""A model that is small and knows nothing, and an empty folder to be in."""

from __future__ import annotations

from pathlib import Path

import pytest
from tiny_model import Say, Tiny, make_tiny


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Tiny:
    return make_tiny(tmp_path_factory.mktemp("tiny"))


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def say(tiny: Tiny, here: Path, capsys: pytest.CaptureFixture[str]) -> Say:
    return Say(tiny, capsys)
