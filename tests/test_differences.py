"""Every difference from the reference that the page names has the test that it names."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
LINES = [
    line for line in (ROOT / "docs" / "differences.md").read_text().splitlines() if line.startswith("- ")
]


@pytest.mark.parametrize("line", LINES)
def test_a_difference_names_a_test_that_is_there(line: str) -> None:
    named = re.search(r"`(tests/[\w/]+\.py)::(test_\w+)`$", line)
    assert named, "a difference ends with the name of its test"
    file, test = named.groups()
    assert re.search(rf"^def {test}\(", (ROOT / file).read_text(), re.MULTILINE), f"{file} has no {test}"
