"""The page of the samplers says what the declarations say."""

from __future__ import annotations

import re
import runpy
from pathlib import Path

import pytest

from valle.samplers.stages import STAGES

ROOT = Path(__file__).parents[3]
PAGE = (ROOT / "docs/samplers.md").read_text(encoding="utf-8")


def test_the_page_is_up_to_date() -> None:
    """`make docs` writes it."""
    assert runpy.run_path(str(ROOT / "tools/samplers_page.py"))["page"]() == PAGE


@pytest.mark.parametrize("name", STAGES)
def test_a_stage_has_a_section_with_all_its_parameters(name: str) -> None:
    declared = STAGES[name]
    (section,) = re.findall(rf"^### {name}\n(.*?)(?=^##|\Z)", PAGE, re.MULTILINE | re.DOTALL)
    assert re.findall(r"^\| `(\w+)` ", section, re.MULTILINE) == [item.name for item in declared.parameters]
    assert declared.help in section
    assert f"Source: {declared.source}." in section
    assert f"(#{name})" in PAGE
    for phase, reason in declared.refused.items():
        assert re.search(rf"Not in .*`{phase}`.*: {re.escape(reason)}", section)
