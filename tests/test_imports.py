"""What an import may bring along, tried in fresh interpreters."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
HEAVY = ("torch", "transformers", "encodec", "textual", "matplotlib", "sounddevice")

# The pattern of a family of files, and what none of them may bring along.
FAMILIES = {
    # What speaks with the built-in voice needs torch, and nobody else's models.
    "valle/**/*.py": HEAVY[1:],
    "valle/*.py": HEAVY,
    "valle/text/*.py": HEAVY,
    "valle/samplers/stages/*.py": HEAVY,
    "valle_lab/*.py": HEAVY,
    "valle_lab/cli/**/*.py": HEAVY,
    "valle_lab/lab/**/*.py": HEAVY,
    "valle_lab/session/**/*.py": HEAVY,
    "valle_lab/notebook/**/*.py": HEAVY,
    "valle_lab/export/**/*.py": HEAVY,
    "valle_lab/figures/**/*.py": tuple(name for name in HEAVY if name != "matplotlib"),
    # The model process imports torch when it is asked for a model; whoever talks to it, never.
    "valle_lab/worker/**/*.py": HEAVY,
    "valle_lab/tui/**/*.py": tuple(name for name in HEAVY if name != "textual"),
}
# Files of a family that are there for what is forbidden to the others.
EXCEPTIONS = {
    "valle.samplers.bridge",
    "valle.models.arch.experts",
    "valle.models.arch.mamba",
    "valle.models.arch.mixtral",
    "valle.models.arch.mamba2",
    "valle.models.arch.retnet_hf",
    "valle_lab.worker.attending",
    "valle_lab.worker.looking",
    "valle_lab.worker.supposing",
}

# Imports each module in turn, and prints it with what it brought.
PROBE = """
import importlib, sys
forbidden, modules = {forbidden!r}, {modules!r}
for module in modules:
    importlib.import_module(module)
    if brought := sorted(set(forbidden) & set(sys.modules)):
        sys.exit(f"{{module}} brings {{', '.join(brought)}}")
"""


def run_python(code: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=120)


def probe(modules: list[str], forbidden: tuple[str, ...]) -> str:
    """What was brought that is forbidden, or the empty string."""
    return run_python(PROBE.format(modules=modules, forbidden=forbidden)).stderr.strip()


def modules_of(pattern: str) -> list[str]:
    files = sorted(file.relative_to(ROOT) for file in ROOT.glob(pattern))
    names = [".".join(file.with_suffix("").parts).removesuffix(".__init__") for file in files]
    return [name for name in names if not name.endswith(".__main__") and name not in EXCEPTIONS]


@pytest.mark.parametrize(("pattern", "forbidden"), FAMILIES.items(), ids=FAMILIES.keys())
def test_family_brings_nothing_heavy(pattern: str, forbidden: tuple[str, ...]) -> None:
    modules = modules_of(pattern)
    assert modules
    assert probe(modules, forbidden) == ""


def test_the_stack_as_data_brings_nothing_heavy() -> None:
    modules = ["valle.samplers", "valle.samplers.schema", "valle.samplers.stack", "valle.samplers.noise"]
    assert probe(modules, HEAVY) == ""


def test_the_first_frame_of_the_lab_waits_for_nothing_that_takes_a_while() -> None:
    modules = ["valle_lab.cli.app", "valle_lab.opening", "valle_lab.lab", "valle_lab.tui.app"]
    assert probe(modules, ("pydantic", "markdown_it", *HEAVY[:3], *HEAVY[4:])) == ""


def test_opening_the_lab_without_options_parses_no_command_line() -> None:
    code = "import sys; from valle_lab.cli import main; main([]); sys.exit('typer' in sys.modules)"
    done = run_python(code)
    assert done.returncode == 0, done.stderr
    assert "needs a terminal" in done.stderr


def test_the_probe_sees_a_heavy_import() -> None:
    assert probe(["valle", "textual.color"], HEAVY) == "textual.color brings textual"


@pytest.mark.parametrize("line", ["import encodec", "from transformers import LlamaForCausalLM"])
def test_bare_import_works_beside_the_installed_torch(line: str) -> None:
    result = run_python(line)
    assert result.returncode == 0, result.stderr[-2000:]
