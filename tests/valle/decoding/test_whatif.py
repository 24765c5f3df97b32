"""What another stack would have made of a take, beside what a run with that stack does."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch

from valle.control import Event, NoControl, ScheduledControl
from valle.decoding.branches import Pair
from valle.decoding.decide import Situation
from valle.decoding.forced import RawRows, forced_pass
from valle.decoding.resumed import Branches
from valle.decoding.run import Run
from valle.decoding.speech import decode_speech, null_inputs, speech_inputs
from valle.decoding.whatif import FindRows, Question, what_if
from valle.errors import UserError
from valle.models.ar_nar import ArNar
from valle.request import Request
from valle.samplers.rows import AttentionMeasures
from valle.samplers.stack import Stack
from valle.step import Place, Step
from valle.take import Take
from valle.whatif import WhatIf, decisions

Speak = Callable[..., Take]
STOP = 1024
FRAMES = 18
CHANGES: tuple[tuple[tuple[str, object], ...], ...] = (
    (("temperature.value", 0.85),),
    (("top_k.k", 12),),
    (("top_p.p", 0.6), ("min_p.p", 0.05)),
    (("repetition_penalty.penalty", 1.5), ("repetition_penalty.window", 5)),
    (("repetition_penalty.penalty", 1.5), ("repetition_penalty.decay", 0.5)),
    (("mirostat.target", 2.0),),
    (("mirostat.target", 1.0), ("mirostat.surprise", "kept")),
    (("adaptive_p.target", 0.2),),
    (("repetition_aware.threshold", 0.05),),
    (("guidance.scale", 2.5), ("guidance.rescale", 0.7), ("guidance.rescale_over", "sequence")),
    (("entropix.temperature", 0.7),),
    (("greedy.on", True),),
    (("temperature.value", {"curve": "linear", "values": [1.2, 0.3], "begin": 0, "end": 20}),),
    (("min_p.p", 0.3), ("min_p.when", {"measure": "entropy", "above": 3.0})),
    (("dry.multiplier", 2.0), ("no_repeat_ngram.size", 1)),
)


def changed_stack(stack: Stack, settings: tuple[tuple[str, object], ...]) -> Stack:
    for name, value in settings:
        stack = stack.set(name, value)
    return stack


class Keeping:
    """Keeps what the decisions of level 0 were made from, as the lab's worker does."""

    def __init__(self) -> None:
        self.situations: dict[int, list[Situation]] = {}

    def decided(self, step: Step, situation: Situation) -> None:
        if step.place.phase == "ar":
            self.situations.setdefault(step.place.segment, []).append(situation)

    def begins(self, place: Place, branches: Branches) -> Branches:
        return branches

    def observer(self, place: Place, layout: object) -> None:
        return None

    def find(self, segment: int, needs: frozenset[str]) -> RawRows:
        kept = self.situations[segment]
        nulls = [item.rows.null for item in kept if item.rows.null is not None]
        return RawRows(torch.cat([item.logits for item in kept]), torch.cat(nulls) if nulls else None)


def by_pass(model: ArNar, take: Take) -> FindRows:
    """Logits that a forced pass makes again."""

    def find(segment: int, needs: frozenset[str]) -> RawRows:
        request, sentence = take.request, take.request.sentences[segment]
        pair = Pair(speech_inputs(request, sentence, 0), null_inputs(request, sentence, 0))
        codes = torch.from_numpy(take.segments[segment].levels[0].astype(np.int64))
        count = len(decisions(take.steps, segment))
        return forced_pass(model, pair, codes, count, request.recipe, needs)

    return find


def asked(take: Take, find: FindRows, stack: Stack | None, changes: bool = False) -> WhatIf:
    return what_if(take.request, take.steps, find, Question(stack, changes, 0, 10**6), stop=STOP)


def assert_exact(found: WhatIf, take: Take, real: Take) -> None:
    """What is called exact is what the run with that stack did, up to the first other token."""
    for segment in range(len(take.segments)):
        ours, theirs = (decisions(item.steps, segment) for item in (take, real))
        here = found.segment == segment
        exact = np.flatnonzero(found.exact[here])
        assert exact.tolist() == list(range(len(exact)))
        assert found.choices[here][exact].tolist() == [int(step.tokens[0]) for step in theirs[: len(exact)]]
        marked = np.flatnonzero(found.changed[here])
        tokens = [[int(step.tokens[0]) for step in side] for side in (ours, theirs)]
        parted = [i for i, pair in enumerate(zip(*tokens, strict=False)) if pair[0] != pair[1]]
        assert (marked[:1].tolist() or None) == (parted[:1] or None)
        assert len(exact) == (parted[0] + 1 if parted else len(ours))


@pytest.fixture
def long_request(request_: Request) -> Request:
    return replace(request_, max_frames=FRAMES)


@pytest.mark.parametrize("settings", CHANGES, ids=lambda settings: settings[0][0])
def test_the_first_mark_is_where_a_run_with_that_stack_parts(
    model: ArNar, long_request: Request, speak: Speak, settings: tuple[tuple[str, object], ...]
) -> None:
    short = {"max_frames": FRAMES, "max_levels": 1}
    take = speak(**short)
    stack = changed_stack(long_request.stack, settings)
    found = asked(take, by_pass(model, take), stack)
    own = speak(**short, stack=stack)
    assert_exact(found, take, own)
    assert found.passes == (0, 1) and len(found.tokens) == sum(s.place.phase == "ar" for s in take.steps)
    assert not asked(own, by_pass(model, own), None).changed.any()


def test_kept_logits_give_the_numbers_of_the_take_itself(model: ArNar, long_request: Request) -> None:
    keeping = Keeping()
    run = Run(long_request, NoControl(), vocabulary=STOP + 1, onlooker=keeping)
    steps = list(decode_speech(model, run, 0))
    found = what_if(long_request, steps, keeping.find, Question(last=10**6), stop=STOP)
    level_0 = [step for step in steps if step.place.phase == "ar"]
    assert not found.changed.any() and found.exact.all() and found.passes == ()
    assert [Place(s, "ar", 0, i) for s, i in zip(found.segment, found.step, strict=True)] == [
        step.place for step in level_0
    ]
    for name in ("margin", "log_probability", "runner_up"):
        assert np.allclose(
            getattr(found, name), np.concatenate([getattr(s, name) for s in level_0]), atol=1e-5
        )
    first = [step for step in level_0 if step.place.segment == 0]
    for at, measured in enumerate(found.measured):
        assert [step.measures[at].stage for step in first] == [measured.stage] * len(first)
        assert measured.kept.tolist() == [int(step.measures[at].kept[0]) for step in first]
        told = np.array([step.measures[at].entropy[0] for step in first])
        assert np.allclose(measured.entropy, told, atol=1e-4)


def test_a_window_of_rows_is_measured(model: ArNar, speak: Speak) -> None:
    take = speak()
    whole = asked(take, by_pass(model, take), None)
    part = what_if(take.request, take.steps, by_pass(model, take), Question(first=12, last=15), stop=STOP)
    assert part.first == 12 and [len(measured.kept) for measured in part.measured] == [3] * 4
    assert whole.first == 0 and len(whole.measured[0].kept) == 10
    assert asked(take, by_pass(model, take), take.request.stack).measured
    assert what_if(take.request, take.steps, by_pass(model, take), Question(), stop=STOP).measured == ()


def test_recorded_changes_belong_to_the_takes_own_stack(model: ArNar, speak: Speak) -> None:
    events = [
        Event("set", "mirostat.target", 2.0, Place(0, "ar", 0, 3)),
        Event("set", "top_k.k", 5, Place(0, "ar", 0, 6)),
        Event("force", value=77, place=Place(0, "ar", 0, 8)),
        Event("set", "nar:temperature.value", 0.0, Place(0, "nar", 2, 0)),
        Event("set", "temperature.value", 0.5, Place(1, "ar", 0, 2)),
    ]
    take = speak(ScheduledControl(events))
    find = by_pass(model, take)
    own = asked(take, find, None)
    assert not own.changed.any() and own.exact.all()
    for stack in (take.request.stack, take.request.stack.set("temperature.value", 0.7)):
        assert_exact(asked(take, find, stack), take, speak(stack=stack))
    later = take.request.stack.set("temperature.value", 0.85)
    found = asked(take, find, later, changes=True)
    real = speak(ScheduledControl(events), stack=later)
    exact = np.flatnonzero(found.exact)
    theirs = [int(step.tokens[0]) for step in real.steps if step.place.phase == "ar"]
    assert found.choices[exact].tolist() == [theirs[row] for row in exact]
    if found.changed[found.segment == 0].any():
        assert not found.exact[found.segment == 1].any(), "a change may have come at another step"


def test_attention_of_a_pass_is_that_of_the_steps(model: ArNar, long_request: Request) -> None:
    keeping = Keeping()
    request = replace(long_request, stack=long_request.stack.set("entropix.temperature", 0.8))
    run = Run(request, NoControl(), vocabulary=STOP + 1, onlooker=keeping)
    steps = list(decode_speech(model, run, 0))
    take = Take(request, (), tuple(steps))
    sentence = request.sentences[0]
    pair = Pair(speech_inputs(request, sentence, 0), null_inputs(request, sentence, 0))
    count = len(decisions(steps, 0))
    codes = torch.tensor([int(step.tokens[0]) for step in decisions(take.steps, 0) if step.ended != "stop"])
    again = forced_pass(model, pair, codes, count, request.recipe, frozenset({"attention"})).attention
    assert again is not None
    for name in AttentionMeasures.__slots__:
        told = torch.cat([getattr(item.rows.attention, name) for item in keeping.situations[0]])
        assert torch.allclose(getattr(again, name), told, atol=1e-4), name


def test_a_row_without_a_token_ends_the_answer(model: ArNar, speak: Speak) -> None:
    take = speak()
    stack = Stack.from_dict(
        {
            "ar": [
                {"name": "minimum_length", "steps": 3},
                {"name": "ban_tokens", "ids": list(range(1024))},
                {"name": "greedy"},
            ],
            "nar": [{"name": "greedy"}],
        }
    )
    found = asked(take, by_pass(model, take), stack)
    assert len(found.tokens) == 0 and "no id that can be taken" in found.failure
    late = stack.set("ban_tokens.when", {"measure": "entropy", "of": "here", "above": 0.0})
    assert asked(take, by_pass(model, take), late).failure


def test_a_search_is_refused_with_the_reason(model: ArNar, speak: Speak) -> None:
    take = speak()
    with pytest.raises(UserError, match="best_of decides over several steps"):
        asked(take, by_pass(model, take), take.request.stack.set("best_of.count", 2))
