"""The page on the lab: its keys are the lab's, and its pictures are there."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

from valle_lab.lab.commands import all_commands
from valle_lab.tui.keys import bindings, keymap, part_bindings
from valle_lab.tui.layout import PANES

DOCS = Path(__file__).parents[3] / "docs"
PAGE = (DOCS / "lab.md").read_text(encoding="utf-8")


def test_every_command_with_a_key_is_told_with_it() -> None:
    rows = re.findall(r"^\| (.+?) \| .+? \| (.+?) \|$", PAGE, re.MULTILINE)
    told = {
        name: key.lower()
        for keys, names in rows
        for key, name in zip(keys.split(", "), re.findall(r"`([a-z_.]+)`", names), strict=False)
    }
    assert told == {command.name: command.key for command in all_commands() if command.key}


def test_panes_and_the_example_of_keys() -> None:
    rows = dict(re.findall(r"^\| (F\d+) \| (\w+) \| ", PAGE, re.MULTILINE))
    assert rows == {key: name.replace("asking", "text") for name, key in PANES.items()}
    (example,) = re.findall(r"```toml\n(.*?)```", PAGE, re.DOTALL)
    known = [*bindings(all_commands()), *part_bindings()]
    chosen, unknown = keymap(tomllib.loads(example)["keys"], known)
    assert len(chosen) == 3 and not unknown


def test_keys_named_in_the_table_of_panes_are_bound() -> None:
    table = PAGE.split("## Keys in the panes")[1].split("## ")[0]
    named = set(re.findall(r"`(\S)`", table))
    spelled = {
        "slash": "/",
        "left_square_bracket": "[",
        "right_square_bracket": "]",
        "less_than_sign": "<",
        "greater_than_sign": ">",
        "comma": ",",
        "full_stop": ".",
        "plus": "+",
        "minus": "-",
    }
    keys = {spelled.get(key, key) for binding in part_bindings() for key in binding.key.split(",")}
    assert named <= keys
