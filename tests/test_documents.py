"""What the documents say is so: links, targets of make, keys, and the tour."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from valle_lab.lab.commands import all_commands

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
DOCUMENTS = [ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").rglob("*.md"))]


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_lead_somewhere(document: Path) -> None:
    for link in re.findall(r"\]\(([^)#\s]+)", document.read_text(encoding="utf-8")):
        if "://" not in link:
            assert (document.parent / link).exists(), link


def test_every_document_is_in_the_index() -> None:
    index = (ROOT / "docs/README.md").read_text(encoding="utf-8")
    for document in (ROOT / "docs").glob("*.md"):
        assert document.name == "README.md" or f"({document.name})" in index, document.name


def test_make_knows_the_targets_of_the_readme() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = set(re.findall(r"^([a-z]+):", makefile, re.MULTILINE))
    named = set(re.findall(r"^make ([a-z]+)", README, re.MULTILINE)) | set(
        re.findall(r"`make ([a-z]+)", README)
    )
    assert {"lab", "test", "demo", "venv", "bench", "sessions"} <= named <= targets


def test_the_keys_of_the_readme_are_the_labs() -> None:
    keys = {command.name: command.key for command in all_commands()}
    rows = re.findall(r"^\| (.+?) \| .+? \| (.+?) \|$", README, re.MULTILINE)
    told = [
        (name, key.lower())
        for keys_told, names_told in rows
        for key, name in zip(keys_told.split(", "), re.findall(r"`([a-z.]+)`", names_told), strict=False)
    ]
    assert len(told) >= 8
    for name, key in told:
        assert keys[name] == key
