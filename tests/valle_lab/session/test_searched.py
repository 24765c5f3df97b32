"""Takes of a search: the winner is the take, the others are kept, and a replay makes the search again."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from valle.inference import Engine
from valle.samplers import Stack
from valle.step import Alternative
from valle.take import Take, assemble
from valle_lab.session import schema
from valle_lab.session.convert import from_session_take
from valle_lab.session.fold import fold_journal
from valle_lab.session.journal import Journal
from valle_lab.session.judge import Mode
from valle_lab.session.replay import replay_take
from valle_lab.session.save import parse_session, session_text
from valle_lab.worker.steps import step_from_frame, step_to_frame

Record = Callable[..., schema.Take]
NAR = {"nar": [{"name": "greedy"}]}
STACKS = {
    "beams": [{"name": "repetition_penalty"}, {"name": "beam_search", "width": 3}],
    "best of 3": [{"name": "temperature", "value": 0.9}, {"name": "best_of", "count": 3}],
    "guided": [{"name": "guidance", "scale": 1.5}, {"name": "best_of", "count": 2, "score": "raw_mean"}],
}


def stack(name: str) -> Stack:
    return Stack.from_dict({"ar": STACKS[name], **NAR})


def told(others: tuple[Alternative, ...]) -> list[Any]:
    return [
        (item.codes.tolist(), item.log_probability, item.score, item.stopped, item.hypothesis)
        for item in others
    ]


def searched(take: Take) -> list[Any]:
    """What a take's steps know of its searches."""
    return [(step.place, step.hypothesis, told(step.others)) for step in take.steps]


@pytest.mark.parametrize("name", STACKS)
@pytest.mark.parametrize("mode", ["exact", "tolerant", "forced"])
def test_a_searched_take_replays(record: Record, engine: Engine, name: str, mode: Mode) -> None:
    made = record(stack=stack(name))
    kept = parse_session(session_text(schema.new_session(made)).encode(), "a session").take()
    assert searched(from_session_take(kept)) == searched(from_session_take(made))
    judgement, take = replay_take(kept, engine, mode)
    assert judgement.verdict == "identical"
    # Only the winner is looked at in `forced`.
    assert any(step.others for step in take.steps) == (mode != "forced")
    if mode != "forced":
        assert searched(take) == searched(from_session_take(made))


@pytest.mark.parametrize("name", STACKS)
@pytest.mark.parametrize("mode", ["exact", "tolerant", "forced"])
def test_a_winner_that_the_search_does_not_find_has_diverged(
    record: Record, engine: Engine, name: str, mode: Mode
) -> None:
    """The request says another stack than the one that made the take."""
    made = record(stack=Stack.from_dict({"ar": [{"name": "draw"}], **NAR}))
    request = made.request.model_copy(update={"stack": stack(name).to_dict()})
    judgement, take = replay_take(made.model_copy(update={"request": request}), engine, mode)
    if (name, mode) == ("beams", "forced"):
        # Fed with a take that beams would not find, the model gives the recorded numbers.
        assert judgement.verdict == "identical"
        return
    assert judgement.verdict == "diverged"
    assert judgement.first_divergence is not None and judgement.first_divergence.phase == "ar"
    if name != "guided" and mode != "exact":
        assert judgement.kind == "sampler"
        assert [segment.stop for segment in take.segments] == [segment.stop for segment in made.segments]


def test_a_journal_and_a_frame_carry_what_was_searched(
    record: Record, engine: Engine, tmp_path: Path
) -> None:
    made = record(stack=stack("best of 3"))
    take = from_session_take(made)
    steps = [step_from_frame(step_to_frame(step, 1)) for step in take.steps]
    assert searched(assemble(take.request, steps)) == searched(take)
    with Journal(tmp_path / "a.jsonl") as journal:
        journal.begin(take.request, made.origin)
        for step in steps:
            journal.step(step)
        journal.end(take.request.take, 1.0)
    folded = fold_journal((tmp_path / "a.jsonl").read_bytes(), "a journal").take()
    assert searched(from_session_take(folded)) == searched(take)


def test_a_search_that_nobody_made_is_no_part_of_a_trace(record: Record) -> None:
    (trace, *_) = record().segments[0].traces
    assert (trace.hypothesis, trace.others) == (None, ())
