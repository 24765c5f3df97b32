"""The commands in the documents, run as they stand, with a model that is small and knows nothing."""

from __future__ import annotations

import io
import re
import shlex
import shutil
import sys
from itertools import pairwise
from pathlib import Path

import pytest
from tiny_model import Tiny

from valle.audio import wav
from valle.voices import BUILTIN_FOLDER
from valle_lab.cli import main

ROOT = Path(__file__).parents[3]
DOCS = ROOT / "docs"
RECORDINGS = ("recording.wav", "mine.wav", "interview.wav", "my-recordings/first.wav")


def commands(page: Path) -> list[list[str]]:
    """The arguments of each, files that a pattern names among them."""
    blocks = re.findall(r"^```(?:console)?\n(.*?)^```", page.read_text(), re.MULTILINE | re.DOTALL)
    lines = [line for block in blocks for line in block.replace("\\\n", "").splitlines()]
    found = [re.fullmatch(r"(?:\$ |.*\| )?valle-lab( .*)", line) for line in lines]
    return [shlex.split(match[1], comments=True) for match in found if match is not None]


PAGES = [page.name for page in sorted(DOCS.glob("*.md")) if commands(page)]
READ_ONLY = {
    "audition.md": "sixteen voices take minutes",
    "repl.md": "it reads what is typed",
    "export.md": "its figures take seconds, and other tests draw them",
    "adapters.md": "its adapters are those of the reader",
    "early-exit.md": "the small model has fewer layers",
    "models.md": "it fetches what only a network has",
}
"""Pages whose commands are only looked up in the help, and why."""


@pytest.fixture
def furnished(here: Path, tiny: Tiny) -> Path:
    """A folder with what the documents take for there: recordings, another model, an example session."""
    shutil.copy(tiny.config, here / "lab.toml")
    for name in ("mine.safetensors", "other.safetensors"):
        shutil.copy(tiny.model, here / name)
    voice = wav.read(BUILTIN_FOLDER / "clear-man.flac")
    for name in RECORDINGS:
        wav.write(here / name, voice)
    (here / "stack.toml").write_text('ar = [{name = "top_k", k = 30}, {name = "draw"}]\n')
    (here / "sessions").mkdir()
    shutil.copy(ROOT / "sessions/seed-zero.json", here / "sessions/seed-zero.json")
    assert main(["say", "Hello there.", "--seed", "8", "--out", "out/other.wav"]) == 0
    return here


def expanded(arguments: list[str]) -> list[str]:
    """As a shell hands them on."""
    return [
        name
        for word in arguments
        for name in (sorted(map(str, Path().glob(word))) if "*" in word and " " not in word else [word])
    ]


@pytest.mark.parametrize("page", READ_ONLY)
def test_options_of_a_page(page: str, capsys: pytest.CaptureFixture[str]) -> None:
    for arguments in commands(DOCS / page):
        assert main([arguments[0], "--help"]) == 0
        known = set(re.findall(r"^  (--[a-z-]+)", capsys.readouterr().out, re.MULTILINE))
        assert {word for word in arguments if word.startswith("--")} <= known


@pytest.mark.parametrize("page", [page for page in PAGES if page not in READ_ONLY])
def test_commands_of_a_page(page: str, furnished: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for arguments in commands(DOCS / page):
        if arguments[0] == "--install-completion":  # it writes into the shell's own files
            continue
        text = io.TextIOWrapper(io.BytesIO(b"Fortune favours the bold."))
        monkeypatch.setattr(sys, "stdin", text)
        code = main(expanded(arguments))
        assert code == (1 if arguments[0] == "diff" else 0), arguments


def test_settings_and_changes_of_the_page_can_be_made() -> None:
    from valle.samplers import Stack
    from valle_lab.cli.arguments import parse_change

    stack = Stack.from_dict({"ar": [{"name": "draw"}], "nar": [{"name": "greedy"}]})
    for command in commands(DOCS / "say.md"):
        changed = stack
        for option, value in pairwise(command):
            if option == "--set":
                changed = changed.set_text(value)
            if option == "--at":
                event = parse_change(value)
                changed = changed.set(event.name, event.value)


def test_the_stack_of_the_page_can_be_used(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (block,) = re.findall(r"```toml\n(.*?)```", (DOCS / "say.md").read_text(), re.DOTALL)
    Path("stack.toml").write_text(block)
    assert main(["samplers", "--check", "stack.toml"]) == 0
