"""The readme's tour of five minutes, run as it stands, with the built-in voice."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from valle_lab.cli import main

README = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")
TOUR = README.split("## Five minutes")[1].split("## From another program")[0]
BLOCKS = re.findall(r"^```\n(.*?)^```", TOUR, re.MULTILINE | re.DOTALL)
COMMANDS = [shlex.split(line) for block in BLOCKS for line in block.replace("\\\n", "").splitlines()]
PROGRAM = re.findall(r"^```python\n(.*?)^```", README, re.MULTILINE | re.DOTALL)[0]


def run(arguments: list[str], folder: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, *arguments]
    return subprocess.run(
        command, cwd=folder, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=300
    )


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One folder for the whole tour: what a command writes, a later one reads."""
    return tmp_path_factory.mktemp("tour")


@pytest.mark.timeout(900)
def test_the_tour(folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """In one process, which loads torch once: that a command is a process of its own has tests elsewhere."""
    assert [name for name, *_ in COMMANDS] == ["valle-lab"] * len(COMMANDS) and len(COMMANDS) >= 7
    monkeypatch.chdir(folder)
    for _, *arguments in COMMANDS:
        if not arguments:
            result = run(["-m", "valle_lab"], folder)
            assert result.returncode == 2 and "terminal" in result.stderr
            continue
        code = main(arguments)
        printed = capsys.readouterr()
        assert code == (1 if arguments[0] == "diff" else 0), (arguments, printed.err)
        if arguments[0] == "replay":
            assert printed.out.strip().endswith("identical")
    assert (folder / "out/first.wav").read_bytes() != (folder / "out/second.wav").read_bytes()


def test_the_program(folder: Path) -> None:
    result = run(["-c", f"{PROGRAM}\nprint(wave.dtype, wave.shape[0] > 2400)"], folder)
    assert result.returncode == 0, result.stderr
    assert result.stdout.splitlines()[-1] == "float32 True"
