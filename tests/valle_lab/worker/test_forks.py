"""Forks in the worker: the same bits with the passes that were kept as without them, and exact replays.

The variable TREES asks for more random trees than a few.
"""

from __future__ import annotations

import os
import random
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from tiny_model import Tiny

from valle.control import Event
from valle.decoding.branches import StepByStep
from valle.fork import Fork, fork
from valle.samplers.stack import Stack
from valle.step import Place, Step
from valle.take import Take, codes_sha256
from valle_lab.session.convert import to_session_take
from valle_lab.session.judge import Mode
from valle_lab.session.replay import replay_take
from valle_lab.session.save import parse_session, session_text
from valle_lab.session.schema import new_session
from valle_lab.views import Look
from valle_lab.worker.client import WorkerClient
from valle_lab.worker.forks import fork_in, fork_to_body
from valle_lab.worker.inprocess import InProcessWorker
from valle_lab.worker.messages import Ask, ModelChoice
from valle_lab.worker.surface import Speaking

TREES = int(os.environ.get("TREES", "2"))
STACK = Stack.from_dict(
    {
        "ar": [
            {"name": "top_k", "k": 60},
            {"name": "temperature", "value": 0.8},
            {"name": "mirostat", "target": 4.0},
        ],
        "nar": [{"name": "greedy"}],
    }
)
ASK = Ask("Hello there. And you?", voice="hum", seed=5, max_seconds=0.16, stack=STACK)
RANGES: dict[str, tuple[Any, Any]] = {
    "temperature.value": (0.1, 1.4),
    "top_k.k": (2, 300),
    "mirostat.target": (1.0, 6.0),
    "repetition_penalty.penalty": (1.0, 1.6),
    "guidance.scale": (1.0, 3.0),
    "nar:temperature.value": (0.0, 1.0),
    "nar.3:guidance.scale": (1.0, 3.0),
}


def choice(tiny: Tiny, budget: float = 1.0) -> ModelChoice:
    codec = str(tiny.folder / "codec.safetensors")
    return ModelChoice(str(tiny.model), codec, "cpu", threads=1, memory_budget_gb=budget)


def worker(tiny: Tiny, budget: float = 1.0) -> InProcessWorker:
    made = InProcessWorker(voices=tiny.folder / "voices")
    made.load(choice(tiny, budget)).result()
    return made


def finished(speaking: Speaking) -> Take:
    assert list(speaking)
    return speaking.take()


def assert_same(ours: Take, theirs: Take) -> None:
    """The same decisions, from the same bits."""
    assert codes_sha256(ours.segments) == codes_sha256(theirs.segments)
    for one, other in zip(ours.steps, theirs.steps, strict=True):
        assert (one.place, one.ended) == (other.place, other.ended)
        for name in ("evidence", "null_evidence"):
            mine, yours = getattr(one, name), getattr(other, name)
            assert (mine is None) == (yours is None)
            if mine is not None:
                assert np.array_equal(mine.logsumexp, yours.logsumexp), one.place
                assert np.array_equal(mine.chosen, yours.chosen), one.place
        assert np.array_equal(one.margin, other.margin)


def assert_replays(
    take: Take, begun: Fork, made: InProcessWorker, speaking: Speaking, modes: tuple[Mode, ...] = ("exact",)
) -> None:
    """It alone, out of a file, comes out the same without being told anything of its parent."""
    origin = speaking.begun.result().origin
    record = to_session_take(take, origin, parent=begun.parent, fork=begun.place)
    read = parse_session(session_text(new_session(record)).encode(), "a session").take()
    assert (read.parent, read.fork is not None) == (begun.parent, True)
    for mode in modes:
        judgement, _ = replay_take(read, made.service.engine, mode)
        assert judgement.verdict == "identical", (mode, judgement)
        assert judgement.evidence_difference == 0.0


class Counting:
    """How many single steps the model makes."""

    def __init__(self, made: InProcessWorker, monkeypatch: pytest.MonkeyPatch) -> None:
        self.steps = 0
        advance = made.service.engine.model.advance  # type: ignore[attr-defined]

        def counted(*given: object) -> object:
            self.steps += 1
            return advance(*given)

        monkeypatch.setattr(made.service.engine.model, "advance", counted)  # type: ignore[attr-defined]


def test_kept_passes_are_not_made_again_and_have_the_same_bits(
    tiny: Tiny, monkeypatch: pytest.MonkeyPatch
) -> None:
    made, forgetful = worker(tiny), worker(tiny, budget=0.0)
    events = [
        Event("set", "guidance.scale", 2.0, Place(0, "ar", 0, 3)),
        Event("set", "guidance.scale", 1.0, Place(1, "ar", 0, 8)),
    ]
    parent = finished(made.speak(ASK, events))
    finished(forgetful.speak(ASK, events))
    other = STACK.set("temperature.value", 1.2)
    count, whole = Counting(made, monkeypatch), sum(s.place.phase == "ar" for s in parent.steps) - 2
    for number, (place, most) in enumerate(
        (
            (Place(0, "ar", 0, 8), whole - 7),
            (Place(1, "ar", 0, 6), whole),
            (Place(1, "ar", 0, 8), whole),
            (Place(1, "nar", 2, 0), 0),
        )
    ):
        for begun in (
            fork(parent, place, f"same-{number}"),
            fork(parent, place, f"plain-{number}", stack=other),
            fork(parent, place, f"guided-{number}", stack=other.set("guidance.scale", 1.7), seed=3),
        ):
            count.steps = 0
            speaking = made.speak(begun)
            child = finished(speaking)
            assert count.steps <= most, (begun.take, count.steps)
            assert_same(child, finished(forgetful.speak(begun)))
            if "guided" in begun.take:
                modes: tuple[Mode, ...] = ("exact", "tolerant") if number == 1 else ("exact",)
                assert_replays(child, begun, made, speaking, modes)
            if begun.take in ("same-2", "same-3"):
                assert codes_sha256(child.segments) == codes_sha256(parent.segments)


def test_two_passes_are_gone_back_to_together(tiny: Tiny, monkeypatch: pytest.MonkeyPatch) -> None:
    made, forgetful = worker(tiny), worker(tiny, budget=0.0)
    asked = made.service.request(replace(ASK, stack=STACK.set("guidance.scale", 2.0)))
    request = replace(asked, recipe=replace(asked.recipe, guidance="two passes"), max_levels=1)
    parent = finished(made.speak(request))
    count = Counting(made, monkeypatch)
    begun = fork(parent, Place(1, "ar", 0, 6), "child", seed=9)
    child = finished(made.speak(begun))
    assert 0 < count.steps <= 2 * 6
    assert_same(child, finished(forgetful.speak(begun)))


def random_fork(chance: random.Random, parent: Take, name: str) -> Fork:
    steps = [step.place for step in parent.steps if len(step.tokens)]
    place = chance.choice(steps)
    stack, force = None, None
    if chance.random() < 0.7:
        stack = parent.request.stack
        for key in chance.sample(sorted(RANGES), 2):
            low, high = RANGES[key]
            value = (
                chance.randint(int(low), int(high)) if isinstance(high, int) else chance.uniform(low, high)
            )
            stack = stack.set(key, value)
    if place.phase == "ar" and chance.random() < 0.4:
        force = chance.randint(0, 1023)
    seed = chance.getrandbits(64) if chance.random() < 0.3 else None
    return fork(parent, place, name, stack=stack, force=force, seed=seed)


@pytest.mark.parametrize("number", range(TREES))
def test_every_take_of_a_random_tree_replays_exactly_alone(tiny: Tiny, number: int) -> None:
    chance = random.Random(number)
    made = worker(tiny, budget=chance.choice([0.0, 0.0005, 1.0]))
    takes = [finished(made.speak(replace(ASK, seed=number)))]
    for index in range(3):
        parent = chance.choice(takes)
        begun = random_fork(chance, parent, f"take-{index}")
        if chance.random() < 0.3:
            made.service.memory.clear()
        speaking = made.speak(begun, ())
        child = finished(speaking)
        places = [step.place for step in child.steps]
        for ours, theirs in zip(child.steps[: places.index(begun.place)], parent.steps, strict=False):
            assert ours.place == theirs.place and np.array_equal(ours.tokens, theirs.tokens)
        assert_replays(child, begun, made, speaking)
        takes.append(child)


def test_a_take_of_the_same_name_is_not_taken_for_the_parent(
    tiny: Tiny, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = worker(tiny)
    parent = finished(made.speak(ASK))
    finished(made.speak(replace(ASK, text="Another text. And you?")))
    count = Counting(made, monkeypatch)
    begun = fork(parent, Place(1, "ar", 0, 6), "child")
    assert codes_sha256(finished(made.speak(begun)).segments) == codes_sha256(parent.segments)
    assert count.steps > 8


def test_steps_of_a_fork_can_be_looked_at_and_changed_live(tiny: Tiny) -> None:
    made = worker(tiny)
    parent = finished(made.speak(ASK))
    speaking = made.speak(fork(parent, Place(0, "ar", 0, 6), "child"))
    steps: list[Step] = []
    for step in speaking:
        steps.append(step)
        if step.place == Place(0, "ar", 0, 8):
            speaking.change(Event("set", "temperature.value", 0.2))
    assert steps[9].events[0].name == "temperature.value"
    for step in steps[3:12:4]:
        assert made.look(Look("child", step.place)).result().token == step.tokens[0]


def test_caches_are_within_the_budget(tiny: Tiny) -> None:
    made = worker(tiny)
    finished(made.speak(ASK))
    memory = made.service.memory
    held = memory.take("take")
    assert held is not None and {type(item) for item in held.branches.values()} == {StepByStep}
    assert memory.size > sum(item.memory for item in held.branches.values()) > 0
    poor = worker(tiny, budget=0.0)
    finished(poor.speak(ASK))
    kept = poor.service.memory.take("take")
    assert kept is not None and not kept.branches


def test_a_fork_crosses_the_pipe(tiny: Tiny, process: WorkerClient) -> None:
    made = worker(tiny)
    parent = finished(made.speak(ASK))
    begun = fork(parent, Place(1, "ar", 0, 5), "child", stack=STACK.set("top_k.k", 9), force=12)
    told = fork_in(*fork_to_body(begun))
    assert told is not None and (told.parent, told.place, told.events) == (
        begun.parent,
        begun.place,
        begun.events,
    )
    process.load(choice(tiny)).result(60)
    assert_same(finished(process.speak(begun)), finished(made.speak(begun)))
