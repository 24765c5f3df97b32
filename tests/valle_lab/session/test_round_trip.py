"""Takes of any shape survive the file: guided now and then, stages that come and go, cut short anywhere."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from valle.control import Event
from valle.request import Request
from valle.step import Evidence, Place, StageMeasures, Step
from valle.take import Take, assemble
from valle_lab.session import schema
from valle_lab.session.convert import from_session_take, to_session_take
from valle_lab.session.save import parse_session, session_text

STAGES = ("raw", "guided", "top_k", "temperature#2", "top_p")
Draw = st.DrawFn


def evidence(random: np.random.Generator, positions: int, best: bool) -> Evidence:
    logsumexp, chosen = random.normal(size=(2, positions)).astype(np.float32)
    if not best:
        return Evidence(logsumexp, chosen)
    ids = random.integers(0, 1025, (positions, 8)).astype(np.int16)
    return Evidence(logsumexp, chosen, ids, random.normal(size=(positions, 8)).astype(np.float32))


def measures(random: np.random.Generator, stage: str, positions: int, stops: bool) -> StageMeasures:
    values = random.random((6, positions)).astype(np.float32)
    stop = values[5] if stops else np.full(positions, np.nan, np.float32)
    kept = random.integers(1, 1026, positions).astype(np.float32)
    rank = random.integers(0, 1025, positions).astype(np.float32)
    return StageMeasures(stage, kept, *values[:4], rank, values[4], stop)


@st.composite
def steps(draw: Draw, place: Place, positions: int) -> Step:
    random = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    speech = place.phase == "ar"
    tokens = random.integers(0, 1024, positions).astype(np.int16)
    stages = draw(st.lists(st.sampled_from(STAGES[1:]), unique=True, max_size=4)) if speech else []
    made = Step(
        take="take-1",
        place=place,
        tokens=tokens,
        choices=tokens if draw(st.booleans()) else random.integers(0, 1024, positions).astype(np.int16),
        log_probability=random.choice([-1.5, -np.inf, 0.0], positions).astype(np.float32),
        runner_up=random.integers(0, 1025, positions).astype(np.int16),
        margin=random.choice([0.25, np.inf, 7.5], positions).astype(np.float32),
        measures=tuple(measures(random, stage, positions, speech) for stage in ("raw", *stages)),
        evidence=evidence(random, positions, speech),
        null_evidence=evidence(random, positions, speech) if draw(st.booleans()) else None,
        seconds=float(np.float32(draw(st.floats(0, 10)))),
    )
    names = draw(st.lists(st.sampled_from(["temperature.value", "nar:top_k.k"]), max_size=2))
    return replace(made, events=tuple(Event("set", name, 0.5, place) for name in names))


@st.composite
def takes(draw: Draw, request: Request) -> Take:
    made: list[Step] = []
    for segment in range(draw(st.integers(1, 2))):
        frames = draw(st.integers(0, 5))
        made += [draw(steps(Place(segment, "ar", 0, index), 1)) for index in range(frames)]
        stop = replace(draw(steps(Place(segment, "ar", 0, frames), 1)), ended="stop")
        token = np.full(1, 1024, np.int16)
        made.append(replace(stop, tokens=token, choices=token))
        if frames:
            made += [draw(steps(Place(segment, "nar", level, 0), frames)) for level in range(1, 8)]
    return assemble(request, made[: draw(st.integers(0, len(made)))], 1.5)


@given(data=st.data())
def test_any_take_survives(data: st.DataObject, request_: Request, origin: schema.Origin) -> None:
    take = data.draw(takes(request_))
    record = to_session_take(take, origin)
    text = session_text(schema.new_session(record))
    session = parse_session(text)
    assert session.takes[0] == record
    assert session_text(session) == text
    again = from_session_take(session.takes[0])
    assert [step.place for step in again.steps][: len(take.steps)] == [step.place for step in take.steps]
    for ours, theirs in zip(again.steps, take.steps, strict=False):
        assert (ours.ended, ours.events) == (theirs.ended, theirs.events)
        assert ours.seconds == theirs.seconds
        for name in ("tokens", "choices", "log_probability", "runner_up", "margin"):
            np.testing.assert_array_equal(getattr(ours, name), getattr(theirs, name))
        check_evidence(ours.evidence, theirs.evidence)
        check_evidence(ours.null_evidence, theirs.null_evidence)
        check_measures(ours, theirs)


def check_evidence(ours: Evidence | None, theirs: Evidence | None) -> None:
    assert (ours is None) == (theirs is None)
    if ours is not None:
        for name in ("logsumexp", "chosen", "top_ids", "top_logits"):
            np.testing.assert_array_equal(getattr(ours, name), getattr(theirs, name))


def check_measures(ours: Step, theirs: Step) -> None:
    """By stage; single precision where one position was decided, half where many were."""
    tolerance = 0 if ours.place.phase == "ar" else 1e-3
    found = {item.stage: item for item in ours.measures}
    assert found.keys() == {item.stage for item in theirs.measures}
    for item in theirs.measures:
        for name in ("kept", "removed", "entropy", "rank", "probability", "stop_probability"):
            np.testing.assert_allclose(getattr(found[item.stage], name), getattr(item, name), atol=tolerance)
