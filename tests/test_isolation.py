"""What conftest promises: no test sees a person's folders or the network."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

import platformdirs
import pytest


def test_folders_are_private(private_home: Path) -> None:
    for folder in (
        platformdirs.user_config_dir(),
        platformdirs.user_data_dir(),
        platformdirs.user_cache_dir(),
    ):
        assert Path(folder).is_relative_to(private_home)


def test_programs_that_tests_start_see_the_same_home(private_home: Path) -> None:
    code = "from pathlib import Path; print(Path.home())"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert result.stdout.strip() == str(private_home)


def test_the_network_is_out_of_reach() -> None:
    with (
        socket.socket() as connection,
        pytest.raises(ConnectionRefusedError, match="reached for the network"),
    ):
        connection.connect(("192.0.2.1", 80))


def test_this_machine_is_within_reach() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server, socket.socket() as connection:
        connection.connect(server.getsockname())


def test_one_thread() -> None:
    assert os.environ["OMP_NUM_THREADS"] == "1"
