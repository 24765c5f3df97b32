"""The loop over segments and phases: what it hands out, and how events change it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch

from valle.control import Event, Guide, LiveControl, ScheduledControl
from valle.decoding.run import Run
from valle.decoding.speech import decode_speech, speech_inputs
from valle.errors import UserError
from valle.models.ar_nar import ArNar
from valle.request import Request
from valle.samplers.stack import Stack
from valle.step import Place
from valle.take import Take, assemble, codes_sha256

Speak = Callable[..., Take]


def at(segment: int, phase: str, level: int, step: int) -> Place:
    return Place(segment, phase, level, step)


def test_the_same_request_gives_the_same_codes(speak: Speak) -> None:
    assert codes_sha256(speak().segments) == codes_sha256(speak().segments)
    assert codes_sha256(speak().segments) != codes_sha256(speak(seed=8).segments)


def test_every_level_has_a_code_for_every_frame(speak: Speak) -> None:
    take = speak()
    assert len(take.segments) == 2
    for segment in take.segments:
        assert segment.codes().shape == (segment.frames, 8)
        assert segment.codes().dtype == np.int16


def test_segments_do_not_share_noise(speak: Speak, request_: Request) -> None:
    same_text = (request_.sentences[0], request_.sentences[0])
    take = speak(sentences=same_text)
    assert not np.array_equal(take.segments[0].levels[0], take.segments[1].levels[0])


def test_greedy_tokens_are_the_best_of_a_full_pass(model: ArNar, speak: Speak, request_: Request) -> None:
    stack = Stack.from_dict({"ar": [{"name": "greedy"}], "nar": [{"name": "greedy"}]})
    take = speak(stack=stack, sentences=request_.sentences[:1])
    frames = torch.from_numpy(take.segments[0].levels[0].astype(np.int64))
    inputs = speech_inputs(request_, request_.sentences[0], 0)
    (logits,) = model.full([replace(inputs, response=frames[:, None])])
    assert logits[: len(frames)].argmax(-1).tolist() == frames.tolist()
    codes = torch.from_numpy(take.segments[0].codes().astype(np.int64))
    (third,) = model.full([replace(inputs, level=3, response=codes[:, :3])])
    assert third.argmax(-1).tolist() == codes[:, 3].tolist()


def test_a_change_takes_effect_at_its_step_and_not_before(speak: Speak) -> None:
    event = Event("set", "temperature.value", 0.0, at(0, "ar", 0, 4))
    plain, changed = speak(), speak(ScheduledControl([event]))
    before, after = plain.segments[0].levels[0], changed.segments[0].levels[0]
    assert np.array_equal(before[:4], after[:4])
    step = next(step for step in changed.steps if step.place == event.place)
    assert step.events == (event,)
    assert step.measures[-1].kept[0] == 1


def test_a_change_lasts_to_the_end_of_the_take(speak: Speak) -> None:
    event = Event("set", "temperature.value", 0.0, at(0, "ar", 0, 2))
    take = speak(ScheduledControl([event]))
    later = [step for step in take.steps if step.place.phase == "ar" and step.place.segment == 1]
    assert all(step.measures[-1].kept[0] == 1 for step in later)


def test_recorded_events_repeat_a_live_take(speak: Speak) -> None:
    live = LiveControl()
    live.put(Event("set", "top_k.k", 3))
    live.put(Event("switch", "top_p", False))
    first = speak(live)
    again = speak(ScheduledControl(first.events))
    assert first.events
    assert codes_sha256(first.segments) == codes_sha256(again.segments)


@pytest.mark.parametrize(
    ("event", "reason"),
    [
        (Event("set", "temprature.value", 1.0), "temperature"),
        (Event("set", "top_k.k", "many"), "top_k"),
        (Event("force", value=4096), "4096"),
        (Event("force", value="five"), "five"),
        (Event("move", "top_p", "first"), "first"),
        (Event("add", "min_p", [0.1]), "add"),
        (Event("switch", "top_p", 1), "switch"),
        (Event("replace", value={"ar": []}), "empty"),
        (Event("adapter", "lora", 1.0), "adapter"),
    ],
)
def test_an_impossible_change_is_refused_and_the_take_goes_on(
    speak: Speak, event: Event, reason: str
) -> None:
    live = LiveControl()
    live.put(event)
    take = speak(live)
    assert codes_sha256(take.segments) == codes_sha256(speak().segments)
    assert reason in live.refused[0][1]


def test_a_forced_token_is_fed_on(speak: Speak) -> None:
    take = speak(ScheduledControl([Event("force", value=5, place=at(0, "ar", 0, 3))]))
    assert take.segments[0].levels[0][3] == 5
    step = next(step for step in take.steps if step.place == at(0, "ar", 0, 3))
    assert step.tokens[0] == 5


def test_finish_ends_the_phase_and_makes_the_later_ones(speak: Speak) -> None:
    take = speak(ScheduledControl([Event("finish", place=at(0, "ar", 0, 6))]))
    assert take.segments[0].codes().shape == (6, 8)
    assert take.segments[0].stop == "finish"
    assert len(take.segments) == 2


def test_finish_in_nar_leaves_the_later_levels_unmade(speak: Speak) -> None:
    take = speak(ScheduledControl([Event("finish", place=at(0, "nar", 3, 0))]))
    first = take.segments[0]
    assert [len(level) == first.frames for level in first.levels] == [True] * 3 + [False] * 5
    assert (first.stop, take.stop) == ("finish", "length")


@pytest.mark.parametrize(
    "place", [at(0, "ar", 0, 0), at(0, "ar", 0, 5), at(0, "nar", 2, 0), at(1, "ar", 0, 1)]
)
def test_cancel_ends_the_take_where_it_stands(speak: Speak, place: Place) -> None:
    take = speak(ScheduledControl([Event("cancel", place=place)]))
    assert take.stop == "cancel"
    assert take.segments[-1].stop == "cancel"
    last = take.steps[-1]
    assert (last.place, last.ended, len(last.tokens)) == (place, "cancel", 0)


def test_a_take_that_breaks_off_anywhere_is_cancelled(model: ArNar, request_: Request) -> None:
    run = Run(request_, ScheduledControl([]), vocabulary=1025)
    steps = list(decode_speech(model, run, 0))
    assert assemble(request_, steps).stop == "length"
    for count in (0, 1, 9, 10, 14, 17, 20, len(steps) - 1):
        assert assemble(request_, steps[:count]).stop == "cancel"


def test_recorded_tokens_are_fed_whatever_the_stack_chooses(speak: Speak) -> None:
    recorded = speak()
    guides = {
        step.place: Guide(step.tokens, step.evidence, step.null_evidence, 1e-3) for step in recorded.steps
    }
    other = speak(ScheduledControl([], guides), seed=99)
    assert codes_sha256(other.segments) == codes_sha256(recorded.segments)
    differing = [step for step in other.steps if not np.array_equal(step.choices, step.tokens)]
    assert differing
    for mine, theirs in zip(other.steps, recorded.steps, strict=True):
        assert mine.evidence is not None
        assert theirs.evidence is not None
        assert np.array_equal(mine.evidence.logsumexp, theirs.evidence.logsumexp)
    assert not any(step.within_reach.all() for step in differing if step.within_reach is not None)


def test_a_near_tie_is_within_reach(speak: Speak) -> None:
    """The runner-up is out of reach while the tolerance is below half the margin, and within it above."""
    recorded = speak()
    step = recorded.steps[4]
    for tolerance, reachable in ((float(step.margin[0]) * 0.4, False), (float(step.margin[0]) * 2.0, True)):
        guide = Guide(step.runner_up, None, None, tolerance)
        other = speak(ScheduledControl([], {step.place: guide}))
        answer = other.steps[4].within_reach
        assert answer is not None
        assert bool(answer[0]) is reachable


def test_fewer_levels_can_be_asked_for(speak: Speak) -> None:
    take = speak(max_levels=2)
    assert take.segments[0].codes().shape[1] == 2
    assert take.stop == "length"


@pytest.mark.parametrize(
    "changes",
    [{"seed": -1}, {"seed": 2**64}, {"sentences": ()}, {"max_frames": 0}, {"max_levels": 9}],
)
def test_a_request_out_of_bounds_is_refused(request_: Request, changes: dict[str, object]) -> None:
    with pytest.raises(UserError):
        replace(request_, **changes)  # type: ignore[arg-type]
