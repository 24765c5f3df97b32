"""What holds for every test: a home folder of its own, one thread, no network, few repeatable examples."""

from __future__ import annotations

import atexit
import gc
import os
import shutil
import socket
import sys
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

sys.path.insert(0, str(Path(__file__).parent / "doubles"))


def _private_home() -> Path:
    """Point every folder that belongs to a person to a new one, for this process and those it starts."""
    home = Path(tempfile.mkdtemp(prefix="valle-lab-tests-"))
    atexit.register(shutil.rmtree, home, ignore_errors=True)
    folders = {
        "HOME": home,
        "XDG_CACHE_HOME": home / ".cache",
        "XDG_CONFIG_HOME": home / ".config",
        "XDG_DATA_HOME": home / ".local/share",
        "XDG_STATE_HOME": home / ".local/state",
        "HF_HOME": home / ".cache/huggingface",
        "TORCH_HOME": home / ".cache/torch",
        "MPLCONFIGDIR": home / ".config/matplotlib",
    }
    os.environ.update({name: str(folder) for name, folder in folders.items()})
    return home


# Before any test module is imported: torch reads its number of threads, and others their folders, only once.
PRIVATE_HOME = _private_home()
os.environ.update(HF_HUB_OFFLINE="1", TRANSFORMERS_OFFLINE="1", TOKENIZERS_PARALLELISM="false")
# Triton reads it when it is imported; our kernel then runs on the CPU.
os.environ["TRITON_INTERPRET"] = "1"
os.environ.setdefault("OMP_NUM_THREADS", "1")
# Threads that wait for each other sleep: those that spin take minutes where other tests have the processors.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

_UNHURRIED: dict[str, Any] = {
    "deadline": None,
    "suppress_health_check": [HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
}
settings.register_profile("ci", max_examples=25, derandomize=True, **_UNHURRIED)
settings.register_profile("thorough", max_examples=1000, **_UNHURRIED)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "ci"))


def pytest_collection_finish() -> None:
    """What was imported stays: no collection of garbage needs to walk through it again."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 20)


@pytest.fixture(scope="session")
def private_home() -> Path:
    """The home folder that this run of the tests sees."""
    return PRIVATE_HOME


@pytest.fixture(autouse=True)
def kept_helpers(monkeypatch: pytest.MonkeyPatch) -> None:
    """One espeak process a voice for the whole run: to start one takes longer than most tests."""
    from kept_helper import kept_helper

    monkeypatch.setattr("valle.text.phonemes.Helper", kept_helper)


@pytest.fixture(autouse=True)
def _no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """A connection to anywhere but this machine fails at once, and says so."""
    connect = socket.socket.connect

    def connect_here(self: socket.socket, address: Any) -> None:
        internet = self.family in (socket.AF_INET, socket.AF_INET6)
        if internet and address[0] not in ("127.0.0.1", "::1", "localhost"):
            raise ConnectionRefusedError(f"a test reached for the network: {address}")
        connect(self, address)

    monkeypatch.setattr(socket.socket, "connect", connect_here)
