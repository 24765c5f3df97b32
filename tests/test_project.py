"""The frame: pinned versions, and what make does, tried with programs that only say how they were called."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
PINS = dict(
    line.split("==")
    for line in (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    if not line.startswith("#")
)
EVERY_REQUIREMENT = [
    Requirement(text)
    for group in (
        PROJECT["project"]["dependencies"],
        *PROJECT["project"]["optional-dependencies"].values(),
    )
    for text in group
]


def plain_name(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def test_constraints_pin_every_requirement_within_its_range() -> None:
    pins = {plain_name(name): version for name, version in PINS.items()}
    for requirement in EVERY_REQUIREMENT:
        if requirement.name != "triton":
            assert requirement.specifier.contains(pins[plain_name(requirement.name)]), requirement


def test_constraints_fit_every_build_of_torch() -> None:
    assert not any("+" in version for version in PINS.values())
    assert "triton" not in PINS and not any(name.startswith("nvidia") for name in PINS)


def test_triton_is_required_on_linux_only() -> None:
    (triton,) = (requirement for requirement in EVERY_REQUIREMENT if requirement.name == "triton")
    assert triton.marker is not None
    assert triton.marker.evaluate({"sys_platform": "linux"})
    assert not triton.marker.evaluate({"sys_platform": "darwin"})


def program(file: Path, script: str) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(f"#!/bin/sh\n{script}\n")
    file.chmod(0o755)


@pytest.fixture
def venv(tmp_path: Path) -> Path:
    """An environment that is up to date and whose programs print their own name and arguments."""
    folder = tmp_path / "venv"
    for name in ("python", "valle-lab", "ruff", "mypy", "lint-imports"):
        program(folder / "bin" / name, f'echo {name} "$@"')
    (folder / "installed.stamp").touch()
    return folder


def make(*arguments: str, venv: Path) -> subprocess.CompletedProcess[str]:
    command = ["make", "--no-print-directory", f"VENV={venv}", *arguments]
    # These tests may themselves be run by make, whose options are not for this one.
    environment = {name: value for name, value in os.environ.items() if not name.startswith("MAKE")}
    return subprocess.run(
        command,
        cwd=ROOT,
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
    )


def test_lab_without_a_terminal_says_so_and_makes_the_demo(venv: Path) -> None:
    result = make("lab", venv=venv)
    said = [line for line in result.stdout.splitlines() if not line.startswith(str(venv))]
    assert result.returncode == 0
    assert "no terminal" in said[0]
    assert said[1].startswith("valle-lab say ") and said[1].endswith("--out out/demo.wav")
    assert said[2:] == ["valle-lab replay out/demo.json"]


def test_demo_fails_when_the_replay_does(venv: Path) -> None:
    program(venv / "bin/valle-lab", 'test "$1" = say')
    assert make("demo", venv=venv).returncode != 0


def test_venv_does_nothing_when_it_is_up_to_date(venv: Path) -> None:
    assert "python" not in make("venv", venv=venv).stdout


def test_venv_installs_torch_first_and_from_its_own_index(venv: Path) -> None:
    (venv / "installed.stamp").unlink()
    result = make("venv", "TORCH_INDEX=https://wheels.example/cpu", venv=venv)
    said = [line for line in result.stdout.splitlines() if line.startswith("python ")]
    assert said == [
        f"python -m pip install --index-url https://wheels.example/cpu torch=={PINS['torch']}",
        "python -m pip install --constraint constraints.txt --editable .[dev]",
        "python tools/torchaudio_standin.py",
    ]
    assert (venv / "installed.stamp").exists()


def test_venv_without_a_python_says_what_is_needed(tmp_path: Path) -> None:
    result = make("venv", "PYTHON=", venv=tmp_path / "none")
    assert result.returncode != 0
    assert "Python 3.11 or newer is needed" in result.stderr


@pytest.mark.parametrize(
    ("closing", "code"),
    [
        ("812 passed, 3 skipped in 431.20s (0:07:11)", 0),
        ("1 failed, 811 passed in 431.20s (0:07:11)", 2),
    ],
)
def test_ci_ends_with_the_closing_line_and_the_code_of_make(tmp_path: Path, closing: str, code: int) -> None:
    (tmp_path / ".ci").mkdir()
    shutil.copy(ROOT / ".ci/run", tmp_path / ".ci/run")
    program(tmp_path / "bin/make", f'echo "called: $@"; echo "{closing}"; echo "make: done" >&2; exit {code}')
    environment = {**os.environ, "PATH": f"{tmp_path / 'bin'}:{os.environ['PATH']}"}
    result = subprocess.run(
        [tmp_path / ".ci/run"], env=environment, capture_output=True, text=True, timeout=60
    )
    assert result.returncode == code
    assert result.stdout.splitlines()[-1] == closing
    assert re.match(r"called: --keep-going --jobs 2 --output-sync=line test VENV=/\S+/venv", result.stdout)
