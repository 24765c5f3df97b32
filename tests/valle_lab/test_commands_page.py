"""The page on the commands is up to date, and every command has a help and a key of its own."""

from __future__ import annotations

import runpy
from pathlib import Path

from valle_lab.lab.commands import all_commands

ROOT = Path(__file__).parents[2]


def test_the_page_of_all_commands_is_up_to_date() -> None:
    page = (ROOT / "docs/commands.md").read_text(encoding="utf-8")
    assert runpy.run_path(str(ROOT / "tools/commands_page.py"))["page"]() == page, "run make docs"


def test_every_command_has_help_of_one_line_and_a_key_of_its_own() -> None:
    commands = list(all_commands())
    keys = [item.key for item in commands if item.key]
    assert len(keys) == len(set(keys))
    for item in commands:
        assert item.help.endswith((".", "JSON.")) and len(item.help) < 130, item.name
        assert all(argument.type_in_words for argument in item.arguments)
