"""The pages on the commands: up to date, and every line in them can be done."""

from __future__ import annotations

import io
import re
import runpy
from pathlib import Path

import pytest

from bench import Bench
from valle_lab import repl as module
from valle_lab.lab.commands import all_commands
from valle_lab.repl import Repl

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


def test_the_lines_of_the_page_on_the_repl_can_be_done(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(module, "PAUSE", 0.0)
    bench = Bench(tmp_path)
    bench.workers[0].allow()
    out, err = io.StringIO(), io.StringIO()
    repl = Repl(bench.lab, out, err)
    monkeypatch.setattr("valle_lab.lab.listening.around", lambda lab, seconds: None)
    blocks = re.findall(r"^```repl\n(.*?)^```", (ROOT / "docs/repl.md").read_text(), re.MULTILINE | re.DOTALL)
    assert len(blocks) >= 5
    for line in (line for block in blocks for line in block.splitlines()):
        repl.do(line if line != "wait" else "")
    assert len(bench.lab.takes) == 3 and bench.lab.record.file is not None
