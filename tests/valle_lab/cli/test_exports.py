"""`valle-lab samplers --export`: flags on stdout, what cannot be said on stderr."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from valle_lab.cli import main

STACK = """
ar = [{ name = "top_k", k = 9 }, { name = "eta" }, { name = "draw" }]
"""


def test_a_file_becomes_one_line_of_flags(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path("stack.toml").write_text(STACK)
    assert main(["samplers", "--export", "llama.cpp", "stack.toml"]) == 0
    printed = capsys.readouterr()
    assert printed.out == "--samplers top_k --top-k 9\n"
    assert printed.err == "not said: eta: llama.cpp has no such stage\n"


def test_a_preset_becomes_arguments(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["samplers", "--export", "transformers", "spark-tts"]) == 0
    given = json.loads(capsys.readouterr().out)
    assert given == {"temperature": 0.8, "top_k": 50, "top_p": 0.95, "do_sample": True}
    assert main(["samplers", "--export", "reference", "spark-tts", "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["program"] == "reference"
    assert document["flags"].startswith("--ar-temperature 0.8 --top-k 50 --top-p 0.95")
    assert "top_p: rule is llama3 there, not reach" in document["unsaid"]


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["llama", "spark-tts"], 'the nearest is "llama.cpp"'),
        (["llama.cpp"], "needs a stack"),
        (["llama.cpp", "spark-tss"], 'the nearest is "spark-tts"'),
        (["llama.cpp", "missing.toml"], "missing.toml"),
    ],
)
def test_what_cannot_be_exported_is_one_line(
    arguments: list[str], says: str, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["samplers", "--export", *arguments]) == 2
    printed = capsys.readouterr()
    assert says in printed.err
    assert (printed.out, len(printed.err.splitlines())) == ("", 1)
