"""The stand-in for a torchaudio that cannot be loaded: there when needed, and only then."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

TOOLS = Path(__file__).parents[1] / "tools"

FAILING = """
import sys
from . import part
raise OSError("libc10_cuda.so: cannot open shared object file")
"""


def import_torchaudio(folder: Path, code: str) -> list[str]:
    """What the code prints, by line, in a fresh interpreter with the stand-in and the folder's torchaudio."""
    # -S: an environment that has the stand-in installed must not lend it to this test.
    program = (
        f"import sys; sys.path[:0] = [{str(TOOLS)!r}, {str(folder)!r}]\n"
        f"import torchaudio_standin; torchaudio_standin.install(); torchaudio_standin.install()\n{code}"
    )
    result = subprocess.run([sys.executable, "-S", "-c", program], capture_output=True, text=True, timeout=60)
    assert result.returncode == 0, result.stderr
    return result.stdout.splitlines()


@pytest.fixture
def failing(tmp_path: Path) -> Path:
    package = tmp_path / "torchaudio"
    package.mkdir()
    (package / "__init__.py").write_text(FAILING)
    (package / "part.py").write_text("")
    return tmp_path


def test_one_that_fails_to_load_is_replaced(failing: Path) -> None:
    code = """
import importlib.util
import torchaudio
print(torchaudio.__spec__.name, importlib.util.find_spec("torchaudio").name)
print(hasattr(torchaudio, "load"), "torchaudio.part" in sys.modules)
try:
    torchaudio.load
except AttributeError as error:
    print(error)
"""
    named, state, reason = import_torchaudio(failing, code)
    assert named == "torchaudio torchaudio"
    assert state == "False False"
    assert reason.startswith("torchaudio.load is not available") and "libc10_cuda.so" in reason


def test_one_that_loads_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "torchaudio.py").write_text("def load():\n    return 'the real one'\n")
    assert import_torchaudio(tmp_path, "import torchaudio; print(torchaudio.load())") == ["the real one"]


def test_one_that_is_not_installed_stays_missing(tmp_path: Path) -> None:
    code = """
try:
    import torchaudio
except ModuleNotFoundError as error:
    print(error)
"""
    assert import_torchaudio(tmp_path, code) == ["No module named 'torchaudio'"]


def test_the_finder_loads_nothing_at_start() -> None:
    code = """
import sys; before = set(sys.modules)
sys.path.insert(0, TOOLS); import torchaudio_standin; torchaudio_standin.install()
print(*set(sys.modules) - before)
""".replace("TOOLS", repr(str(TOOLS)))
    command = [sys.executable, "-S", "-c", code]
    assert subprocess.run(command, capture_output=True, text=True).stdout.split() == ["torchaudio_standin"]
