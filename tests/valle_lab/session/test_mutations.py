"""Damaged sessions are refused in one line; opinions and unknown fields damage nothing.

A few of them here; `python -m tests.valle_lab.session.mutations` tries 10,000.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from mutations import EXAMPLES, harmless, replay_some, try_all, watched_writes

from valle.request import Request
from valle_lab.session import schema
from valle_lab.session.engines import Choices, Engines
from valle_lab.session.save import load_session, parse_session, session_text

COUNT = 80


@pytest.fixture(scope="module")
def engines() -> Iterator[Engines]:
    engines = Engines(Choices(any_model=True))
    yield engines
    engines.close()


@pytest.mark.parametrize("file", EXAMPLES, ids=lambda file: file.stem)
def test_mutations_of_an_example_are_refused_in_one_line_or_accepted(
    file: Path, engines: Engines, tmp_path: Path
) -> None:
    tally = try_all(session_text(load_session(file)), COUNT, seed=len(file.name))
    assert tally.refused > COUNT / 2
    assert len(tally.accepted) > COUNT / 100
    verdicts = replay_some(tally.accepted[:2], engines, tmp_path)
    assert verdicts.total() >= len(tally.accepted[:2])


def test_mutations_of_a_small_session_hit_its_structure(
    record: Callable[..., schema.Take], request_: Request
) -> None:
    made = record(max_frames=4, sentences=request_.sentences[:1])
    assert try_all(session_text(schema.new_session(made)), 3 * COUNT).refused > COUNT


@pytest.mark.parametrize("file", EXAMPLES, ids=lambda file: file.stem)
def test_opinions_and_unknown_fields_are_nobodys_business(file: Path) -> None:
    for changed in harmless(session_text(load_session(file)), COUNT // 2):
        parse_session(changed)


def test_a_file_that_is_written_elsewhere_would_be_seen(tmp_path: Path) -> None:
    with watched_writes() as touched:
        (tmp_path / "a").write_text("x")
        (tmp_path / "a").rename(tmp_path / "b")
        (tmp_path / "b").read_text()
    assert touched == [tmp_path / "a", tmp_path / "a", tmp_path / "b"]
