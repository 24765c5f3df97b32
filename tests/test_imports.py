"""What an import may bring along, each tried in a fresh interpreter."""

from __future__ import annotations

import subprocess
import sys

import pytest

HEAVY = ("torch", "transformers", "encodec", "textual", "matplotlib", "torchaudio")

LIGHT_MODULES = [
    "valle",
    "valle.errors",
    "valle.request",
    "valle.step",
    "valle.take",
    "valle.control",
    "valle_lab",
    "valle_lab.settings",
]


def run_python(code: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)


@pytest.mark.parametrize("module", LIGHT_MODULES)
def test_import_brings_nothing_heavy(module: str) -> None:
    result = run_python(f"import sys, {module}; print(*sorted(set({HEAVY!r}) & set(sys.modules)))")
    assert result.returncode == 0, result.stderr
    assert result.stdout.split() == []


def test_the_check_sees_a_heavy_import() -> None:
    result = run_python(f"import sys, textual; print(*sorted(set({HEAVY!r}) & set(sys.modules)))")
    assert result.stdout.split() == ["textual"]


@pytest.mark.parametrize("line", ["import encodec", "from transformers import LlamaForCausalLM"])
def test_bare_import_works_beside_the_installed_torch(line: str) -> None:
    result = run_python(line)
    assert result.returncode == 0, result.stderr[-2000:]
