"""The commands in the documents exist, with the options that they are shown with."""

from __future__ import annotations

import re
import shlex
from itertools import pairwise
from pathlib import Path

import pytest

from valle_lab.cli import main

DOCS = Path(__file__).parents[3] / "docs"
PAGES = ("say.md", "replay.md", "sessions.md", "repl.md", "audition.md")


def commands(page: Path) -> list[list[str]]:
    blocks = re.findall(r"^```\n(.*?)^```", page.read_text(), re.MULTILINE | re.DOTALL)
    lines = [line for block in blocks for line in block.splitlines() if "valle-lab " in line]
    return [shlex.split(line[line.index("valle-lab ") :])[1:] for line in lines]


@pytest.mark.parametrize("page", PAGES)
def test_commands_of_a_page(page: str, capsys: pytest.CaptureFixture[str]) -> None:
    found = commands(DOCS / page)
    assert found
    for command in found:
        path = command[:2] if command[:2] == ["voices", "add"] else command[:1]
        assert main([*path, "--help"]) == 0
        known = set(re.findall(r"^  (--[a-z-]+)", capsys.readouterr().out, re.MULTILINE))
        assert {word for word in command if word.startswith("--")} <= known


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
