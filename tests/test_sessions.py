"""The example sessions can be replayed, and show what they are named for."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from valle_lab.session.engines import Choices, Engines
from valle_lab.session.replay import Options, replay_file
from valle_lab.session.save import load_session

FOLDER = Path(__file__).parents[1] / "sessions"
EXAMPLES = ("greedy", "plain", "seed-zero", "tweaks", "two-sentences")


@pytest.fixture(scope="module")
def engines() -> Iterator[Engines]:
    engines = Engines(Choices())
    yield engines
    engines.close()


@pytest.mark.parametrize("name", EXAMPLES)
def test_an_example_replays(name: str, engines: Engines) -> None:
    (report,) = replay_file(FOLDER / f"{name}.json", Options("tolerant"), engines)
    assert report.error is None
    assert report.verdict in ("identical", "benign")


def test_the_examples_are_what_they_are_called() -> None:
    takes = {name: load_session(FOLDER / f"{name}.json").take() for name in EXAMPLES}
    assert takes["seed-zero"].request.seed == 0
    assert takes["greedy"].effective["ar"][-1]["name"] == "greedy"
    assert len(takes["tweaks"].events) >= 5
    assert len(takes["two-sentences"].segments) == 2
    assert all(segment.stop == "stop" for take in takes.values() for segment in take.segments)
