"""Model processes for the tests that leave them alive: a start takes longer than what is asked here."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from tiny_model import Tiny, make_tiny

from valle_lab.worker.client import WorkerClient


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Tiny:
    return make_tiny(tmp_path_factory.mktemp("tiny"))


@pytest.fixture(scope="session")
def process(tiny: Tiny, tmp_path_factory: pytest.TempPathFactory) -> Iterator[WorkerClient]:
    """With the real engine; a test loads the model it wants, and with that forgets what was before."""
    client = WorkerClient(tmp_path_factory.mktemp("process") / "worker.log", voices=tiny.folder / "voices")
    yield client
    client.close()


@pytest.fixture(scope="session")
def fake_process(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WorkerClient]:
    """With an engine without a model."""
    client = WorkerClient(tmp_path_factory.mktemp("fake") / "worker.log", engine="fake_engine:factory")
    yield client
    client.close()
