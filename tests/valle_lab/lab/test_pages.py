"""The lines on the pages of sheets and trials, done as they stand by a lab with a fake worker."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from bench import Bench
from valle_lab import failures

DOCS = Path(__file__).parents[3] / "docs"


@pytest.mark.parametrize("page", ["seed-sheets.md", "trials.md"])
def test_the_lines_of_a_page_can_be_done(page: str, tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    bench.workers[0].allow()
    blocks = re.findall(r"^```\n(.*?)^```", (DOCS / page).read_text(), re.MULTILINE | re.DOTALL)
    blocks = [block for block in blocks if not block.startswith("valle-lab ")]
    assert blocks
    for number, block in enumerate(blocks):
        if number:  # the fake engine does not mind the stack, and a trial needs takes that differ
            bench = Bench(tmp_path / str(number))
            bench.workers[0].allow()
            for seed in (1, 2):
                bench.lab.run("seed.set", seed)
                bench.speak("Some words.")
        for line in block.splitlines():
            bench.lab.run_line(line)
            bench.lab.wait()
    assert not [notice for notice in bench.told() if notice.error]


def test_the_limits_on_the_page_are_those_of_the_code() -> None:
    page = (DOCS / "seed-sheets.md").read_text()
    for words in (
        f"below {failures.FASTEST:g} (left early) or from {failures.SLOWEST:g} on",
        f"from {failures.LONGEST_SILENCE:g} s on",
        f"from {failures.LONGEST_RUN} frames on",
        f"from {failures.UNSETTLED:g} bits on",
    ):
        assert words in page
