"""Several takes at once: each row is what it would be alone, but for the last digits, whatever others do."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from toy_model import SENTENCES, STACK, toy_model, toy_request

from valle.batch import MOST_ROWS, BatchGeneration, together
from valle.control import Control, Event, Guide, NoControl, ScheduledControl
from valle.decoding.batch import POSITIONS_AT_ONCE, decode_batch
from valle.decoding.run import Run
from valle.decoding.speech import decode_speech
from valle.early_exit import EarlyExit
from valle.errors import UserError
from valle.models.ar_nar import ArNar
from valle.request import Recipe, Request
from valle.samplers.stack import Stack
from valle.step import Place, Step
from valle.take import Take, assemble, codes_sha256

DRAW: list[dict[str, Any]] = [{"name": "temperature", "value": 0.8}, {"name": "draw"}]
GUIDED = [{"name": "guidance", "scale": 2.0}, *DRAW]
STACKS = {
    "plain": Stack.from_dict(STACK),
    "guided": Stack.from_dict(
        {"ar": GUIDED, "nar": [{"name": "guidance", "scale": 1.5}, {"name": "greedy"}]}
    ),
    "with a state": Stack.from_dict({"ar": [{"name": "mirostat"}], "nar": DRAW}),
    "with attention": Stack.from_dict({"ar": [{"name": "entropix"}], "nar": DRAW}),
    "of its history": Stack.from_dict(
        {"ar": [{"name": "repetition_penalty", "penalty": 1.5}, *DRAW], "nar": DRAW}
    ),
}
EVENTS = (
    Event("set", "temperature.value", 0.4, Place(0, "ar", 0, 3)),
    Event("add", "guidance", {"scale": 2.0}, Place(0, "ar", 0, 4)),
    Event("set", "guidance.on", False, Place(1, "ar", 0, 2)),
    Event("force", value=7, place=Place(0, "ar", 0, 2)),
    Event("finish", place=Place(0, "ar", 0, 5)),
    Event("finish", place=Place(1, "nar", 3, 0)),
    Event("cancel", place=Place(1, "ar", 0, 1)),
    Event("cancel", place=Place(0, "nar", 2, 0)),
    Event("cancel", place=Place(0, "ar", 0, 0)),
)


@pytest.fixture(scope="module")
def toy() -> ArNar:
    return toy_model()


def asked(number: int, stack: str = "plain", **changes: Any) -> Request:
    request = toy_request(100 + number, "codec", take=f"take-{number}")
    return replace(request, stack=STACKS[stack], **changes)


def at_once(
    model: ArNar, requests: Sequence[Request], controls: Sequence[Control] | None = None
) -> tuple[Take, ...]:
    rows = together(requests)
    runs = [
        Run(row, control, vocabulary=model.config.stop + 1, alone=False)
        for row, control in zip(rows, controls or [NoControl()] * len(rows), strict=True)
    ]
    return BatchGeneration(rows, decode_batch(model, runs, [0] * len(rows))).finish()


def alone(model: ArNar, request: Request, control: Control | None = None) -> Take:
    run = Run(request, control or NoControl(), vocabulary=model.config.stop + 1)
    return assemble(request, list(decode_speech(model, run, 0)))


def same(one: Take, other: Take) -> None:
    """The same decisions from the same numbers, but for rounding."""
    assert codes_sha256(one.segments) == codes_sha256(other.segments)
    assert [segment.stop for segment in one.segments] == [segment.stop for segment in other.segments]
    assert one.events == other.events
    assert [(step.place, step.ended) for step in one.steps] == [(s.place, s.ended) for s in other.steps]
    for mine, theirs in zip(one.steps, other.steps, strict=True):
        assert [m.stage for m in mine.measures] == [m.stage for m in theirs.measures]
        for ours, others in zip(numbers(mine), numbers(theirs), strict=True):
            assert ours.dtype == others.dtype and ours.shape == others.shape
            np.testing.assert_allclose(ours, others, atol=2e-3, rtol=1e-3)


def numbers(step: Step) -> list[np.ndarray]:
    found = [step.tokens, step.choices, step.log_probability, step.margin]
    for evidence in (step.evidence, step.null_evidence):
        if evidence is not None:
            found += [evidence.logsumexp, evidence.chosen]
            found += [] if evidence.top_logits is None else [evidence.top_logits]
    return found + [getattr(m, name) for m in step.measures for name in ("kept", "entropy", "probability")]


@pytest.mark.parametrize("stack", STACKS)
def test_rows_are_what_they_are_alone(toy: ArNar, stack: str) -> None:
    requests = [asked(0, stack), asked(1, stack, max_frames=4), asked(2, max_levels=3), asked(3, stack)]
    for request, take in zip(requests, at_once(toy, requests), strict=True):
        same(take, alone(toy, request))
        assert take.request.recipe.batch == tuple(item.take for item in requests)


@settings(max_examples=10)
@given(
    st.lists(
        st.tuples(
            st.sampled_from(sorted(STACKS)),
            st.integers(1, 9),
            st.sampled_from([SENTENCES, SENTENCES[::-1], SENTENCES[:1]]),
            st.sets(st.integers(0, len(EVENTS) - 1), max_size=2),
        ),
        min_size=1,
        max_size=5,
    )
)
def test_no_mixture_of_rows_and_events_changes_a_row(toy: ArNar, rows: list[Any]) -> None:
    requests = [
        replace(asked(number, stack, max_frames=frames), sentences=sentences)
        for number, (stack, frames, sentences, _) in enumerate(rows)
    ]
    controls = [Patient(EVENTS[event] for event in sorted(events)) for *_, events in rows]
    takes = at_once(toy, requests, controls)
    for request, take, control in zip(requests, takes, controls, strict=True):
        same(take, alone(toy, request, control))


class Patient(ScheduledControl):
    """Lets refusals pass."""

    def refuse(self, event: Event, reason: str) -> None:
        assert reason


def test_the_same_batch_gives_the_same_bits(toy: ArNar) -> None:
    requests = [asked(number, max_frames=3 + number) for number in range(4)]
    first, second = at_once(toy, requests), at_once(toy, requests)
    for one, other in zip(first, second, strict=True):
        for mine, theirs in zip(one.steps, other.steps, strict=True):
            assert all(np.array_equal(a, b) for a, b in zip(numbers(mine), numbers(theirs), strict=True))


def test_rows_that_ended_leave_the_passes(toy: ArNar, monkeypatch: pytest.MonkeyPatch) -> None:
    counts: list[int] = []
    advance = ArNar.advance

    def counted(self: ArNar, cache: Any, tokens: Any, observer: Any = None) -> Any:
        counts.append(len(cache))
        return advance(self, cache, tokens, observer)

    monkeypatch.setattr(ArNar, "advance", counted)
    sentence = (SENTENCES[0],)
    requests = [
        replace(asked(n, max_frames=frames), sentences=sentence) for n, frames in enumerate((2, 5, 4))
    ]
    cut = ScheduledControl([Event("cancel", place=Place(0, "ar", 0, 3))])
    takes = at_once(toy, requests, [NoControl(), cut, NoControl()])
    lengths = [
        sum(step.place.phase == "ar" and len(step.tokens) > 0 for step in take.steps) for take in takes
    ]
    assert counts == [sum(length > step for length in lengths) for step in range(1, max(lengths))]


def test_seconds_are_shares_of_the_whole(toy: ArNar) -> None:
    takes = at_once(toy, [asked(number) for number in range(4)])
    first = [step.seconds for take in takes for step in take.steps if step.place == Place(0, "ar", 0, 0)]
    assert len(set(first)) == 1 and first[0] > 0
    assert takes[0].seconds == pytest.approx(sum(step.seconds for step in takes[0].steps))


def test_passes_of_many_frames_are_made_in_parts(toy: ArNar, monkeypatch: pytest.MonkeyPatch) -> None:
    rows: list[int] = []
    full = ArNar.full

    def counted(self: ArNar, given: Any, observer: Any = None) -> Any:
        rows.append(len(given))
        return full(self, given, observer)

    requests = [asked(number) for number in range(4)]
    monkeypatch.setattr("valle.decoding.batch.POSITIONS_AT_ONCE", POSITIONS_AT_ONCE)
    together_ = at_once(toy, requests)
    monkeypatch.setattr(ArNar, "full", counted)
    monkeypatch.setattr("valle.decoding.batch.POSITIONS_AT_ONCE", 70)
    for one, other in zip(together_, at_once(toy, requests), strict=True):
        same(one, other)
    assert 1 <= min(rows) <= max(rows) < 4


def test_each_row_has_its_own_recorded_tokens(toy: ArNar) -> None:
    requests = [asked(number, max_frames=6) for number in range(3)]
    recorded = at_once(toy, requests)
    guides = {step.place: Guide(step.tokens, step.evidence, None, 1e-3) for step in recorded[1].steps}
    other = [replace(request, seed=request.seed + 50) for request in requests]
    takes = at_once(toy, other, [NoControl(), ScheduledControl([], guides), NoControl()])
    assert codes_sha256(takes[1].segments) == codes_sha256(recorded[1].segments)
    assert codes_sha256(takes[0].segments) != codes_sha256(recorded[0].segments)
    parted = [step for step in takes[1].steps if not np.array_equal(step.choices, step.tokens)]
    assert parted and all(step.within_reach is not None for step in parted)
    assert not any(step.within_reach.all() for step in parted if step.within_reach is not None)


def test_a_near_tie_of_a_row_is_within_reach(toy: ArNar) -> None:
    requests = [asked(number, max_frames=6) for number in range(3)]
    step = at_once(toy, requests)[2].steps[4]
    for tolerance, reachable in ((float(step.margin[0]) * 0.4, False), (float(step.margin[0]) * 2.0, True)):
        guide = ScheduledControl([], {step.place: Guide(step.runner_up, None, None, tolerance)})
        answer = at_once(toy, requests, [NoControl(), NoControl(), guide])[2].steps[4].within_reach
        assert answer is not None and bool(answer[0]) is reachable


def test_what_cannot_be_made_together_is_refused_in_a_line(toy: ArNar) -> None:
    requests = [asked(number) for number in range(2)]
    with pytest.raises(UserError, match="not 0"):
        together([])
    with pytest.raises(UserError, match=f"1 to {MOST_ROWS} takes"):
        together([asked(number) for number in range(MOST_ROWS + 1)])
    with pytest.raises(UserError, match="'take-0'"):
        together([requests[0], requests[0]])
    with pytest.raises(UserError, match="one device"):
        together([requests[0], replace(requests[1], recipe=Recipe(threads=2))])
    alone_: dict[str, dict[str, Any]] = {
        "mode nar-len": {"mode": "nar-len"},
        "Rolling context": {"history": 1},
        "Refining": {"refine": True},
        "Early exit": {"recipe": Recipe(early_exit=EarlyExit(1))},
    }
    for reason, changes in alone_.items():
        with pytest.raises(UserError, match=f"{reason}: such a take is made alone"):
            together([replace(request, **changes) for request in requests])
    searching = replace(requests[1], stack=Stack.from_dict({"ar": [{"name": "beam_search"}], "nar": DRAW}))
    with pytest.raises(UserError, match="beam_search searches"):
        at_once(toy, [requests[0], searching])
