"""What-if in the worker: on kept logits, on those of a forced pass, and across the pipe."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from tiny_model import Tiny

from valle.control import Event
from valle.errors import UserError
from valle.samplers.stack import Stack
from valle.step import Place
from valle.whatif import WhatIf
from valle_lab.views import Look, TakeLook
from valle_lab.worker.client import WorkerClient
from valle_lab.worker.inprocess import InProcessWorker
from valle_lab.worker.messages import Ask, ModelChoice
from valle_lab.worker.suppositions import (
    asked_what_if_from_body,
    asked_what_if_to_body,
    what_if_from_body,
    what_if_to_body,
)
from valle_lab.worker.surface import Speaking

STACK = {
    "ar": [{"name": "top_k", "k": 60}, {"name": "temperature", "value": 0.8}, {"name": "draw"}],
    "nar": [{"name": "greedy"}],
}
GUIDED = {**STACK, "ar": [{"name": "guidance", "scale": 2.0}, *STACK["ar"]]}
ASK = Ask("Hello there.", voice="hum", seed=5, max_seconds=0.3, stack=Stack.from_dict(STACK))


def worker(tiny: Tiny, budget: float = 1.0) -> InProcessWorker:
    made = InProcessWorker(voices=tiny.folder / "voices")
    made.load(choice(tiny, budget)).result()
    return made


def choice(tiny: Tiny, budget: float) -> ModelChoice:
    codec = str(tiny.folder / "codec.safetensors")
    return ModelChoice(str(tiny.model), codec, "cpu", threads=1, memory_budget_gb=budget)


def spoken(made: InProcessWorker, **changes: object) -> Speaking:
    events = [Event("set", "temperature.value", 0.5, Place(0, "ar", 0, 4))]
    speaking = made.speak(replace(ASK, **changes), events)  # type: ignore[arg-type]
    for _ in speaking:
        pass
    return speaking


def tried(made: InProcessWorker, speaking: Speaking, look: TakeLook) -> WhatIf:
    return made.what_if(look, speaking.begun.result().request, speaking.steps).result()


def assert_equal(ours: WhatIf, theirs: WhatIf) -> None:
    for name in WhatIf.__slots__:
        if name != "measured":
            assert np.array_equal(getattr(ours, name), getattr(theirs, name)), name
    assert [m.stage for m in ours.measured] == [m.stage for m in theirs.measured]
    for one, other in zip(ours.measured, theirs.measured, strict=True):
        assert np.array_equal(one.entropy, other.entropy) and np.array_equal(one.kept, other.kept)


def test_kept_logits_and_those_of_a_pass_mark_the_same(tiny: Tiny) -> None:
    made, forgetful = worker(tiny), worker(tiny, budget=0.0)
    speaking = spoken(made)
    spoken(forgetful)
    for stack in (None, {**STACK, "ar": [{"name": "top_k", "k": 3}, {"name": "draw"}]}):
        look = TakeLook("take", stack, first=2, last=6)
        kept, again = (tried(each, speaking, look) for each in (made, forgetful))
        assert (kept.passes, again.passes) == ((), (0,))
        assert np.array_equal(kept.choices, again.choices) and np.array_equal(kept.exact, again.exact)
        assert np.allclose(kept.margin, again.margin, atol=1e-3)
        assert kept.changed.any() == (stack is not None)


def test_a_null_pass_is_made_where_the_take_had_none(tiny: Tiny) -> None:
    made = worker(tiny)
    speaking = spoken(made)
    place = Place(0, "ar", 0, 3)
    with pytest.raises(UserError, match="without the null pass"):
        made.look(Look("take", place, stack=GUIDED)).result()
    found = tried(made, speaking, TakeLook("take", GUIDED))
    assert found.passes == (0,)
    size = made.service.memory.size
    assert_equal(tried(made, speaking, TakeLook("take", GUIDED)), found)
    assert made.service.memory.size == size, "the pass is made once"
    assert tried(made, speaking, TakeLook("take", STACK)).passes == ()
    view = made.look(Look("take", place, stack=GUIDED)).result()
    assert view.remade and view.waterfall[1].stage == "guidance"
    if found.exact[3]:
        assert view.choice == found.choices[3]
    real = spoken(made, take="other", stack=Stack.from_dict(GUIDED))
    theirs = [int(step.tokens[0]) for step in real.steps if step.place.phase == "ar"]
    exact = np.flatnonzero(found.exact & (np.arange(len(found.exact)) < 4))
    assert found.choices[exact].tolist() == [theirs[row] for row in exact]


def test_another_take_of_the_same_name_is_not_taken_for_it(tiny: Tiny) -> None:
    made = worker(tiny)
    speaking = spoken(made)
    spoken(made, seed=6)
    assert tried(made, speaking, TakeLook("take")).passes == (0,)


def test_question_and_answer_cross_the_pipe_unchanged(tiny: Tiny, process: WorkerClient) -> None:
    made = worker(tiny)
    speaking = spoken(made)
    request, look = speaking.begun.result().request, TakeLook("take", GUIDED, True, 1, 5)
    asked, told, steps = asked_what_if_from_body(*asked_what_if_to_body(look, request, speaking.steps))
    assert asked == look and told.seed == request.seed
    assert [(s.place, s.events, s.tokens.tolist()) for s in steps] == [
        (s.place, s.events, s.tokens.tolist()) for s in speaking.steps
    ]
    found = tried(made, speaking, look)
    assert_equal(what_if_from_body(*what_if_to_body(found)), found)
    process.load(choice(tiny, 1.0)).result(60)
    other = process.what_if(look, request, speaking.steps).result(20)
    assert np.array_equal(other.choices, found.choices) and other.passes == (0,)
    with pytest.raises(UserError, match="best_of"):
        process.what_if(
            TakeLook("take", {"ar": [{"name": "best_of"}], "nar": [{"name": "greedy"}]}),
            request,
            speaking.steps,
        ).result(20)
