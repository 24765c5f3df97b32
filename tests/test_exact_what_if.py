"""What-if beside real runs of the built-in voice: what it calls exact is what a run with that stack does.

Three random changes by default; the variable REPLAYS asks for more.
"""

from __future__ import annotations

import os
import random
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from valle.inference import Engine
from valle.samplers.stack import Stack
from valle.take import Take
from valle.whatif import decisions
from valle_lab.session.convert import from_session_take
from valle_lab.session.save import load_session

CHANGES = int(os.environ.get("REPLAYS", "3"))
FOLDER = Path(__file__).parents[1] / "sessions"
EXAMPLES = ("greedy", "plain", "seed-zero", "tweaks", "two-sentences")
FRAMES = 60
RANGES: dict[str, tuple[float, float]] = {
    "temperature.value": (0.2, 1.4),
    "top_k.k": (2, 400),
    "top_p.p": (0.3, 1.0),
    "min_p.p": (0.0, 0.3),
    "typical.p": (0.3, 1.0),
    "top_n_sigma.n": (0.5, 3.0),
    "repetition_penalty.penalty": (1.0, 2.0),
    "repetition_penalty.window": (1, 90),
    "dry.multiplier": (0.0, 3.0),
    "mirostat.target": (1.0, 6.0),
    "adaptive_p.target": (0.05, 0.8),
    "repetition_aware.threshold": (0.05, 0.5),
    "guidance.scale": (1.0, 3.0),
}


@pytest.fixture(scope="module")
def engine() -> Iterator[Engine]:
    loaded = Engine.load(device="cpu", threads=1)
    yield loaded
    loaded.close()


def example(name: str) -> Take:
    return from_session_take(load_session(FOLDER / f"{name}.json").take())


@pytest.mark.parametrize("name", EXAMPLES)
def test_the_stack_of_an_example_marks_no_step_of_it(engine: Engine, name: str) -> None:
    take = example(name)
    found = engine.what_if(take)
    assert not found.changed.any() and found.exact.all() and found.failure == ""
    assert found.passes == tuple(range(len(take.segments)))
    assert found.tokens.tolist() == [
        int(step.tokens[0]) for number in found.passes for step in decisions(take.steps, number)
    ]


def some_stack(chance: random.Random, stack: Stack) -> Stack:
    for name in chance.sample(sorted(RANGES), chance.randint(1, 2)):
        low, high = RANGES[name]
        stack = stack.set(
            name, chance.randint(low, high) if isinstance(low, int) else chance.uniform(low, high)
        )
    return stack


@pytest.mark.parametrize("number", range(CHANGES))
def test_the_first_mark_is_where_a_run_with_that_stack_parts(engine: Engine, number: int) -> None:
    chance = random.Random(number)
    take = example(chance.choice(EXAMPLES))
    stack = some_stack(chance, take.request.stack)
    found = engine.what_if(take, stack)
    request = replace(
        take.request, stack=stack, sentences=take.request.sentences[:1], max_frames=FRAMES, max_levels=1
    )
    run = engine.generate(request, measured=False).finish()
    real = [int(step.tokens[0]) for step in decisions(run.steps, 0)]
    recorded = [int(step.tokens[0]) for step in decisions(take.steps, 0)]
    parts = next(
        (at for at, pair in enumerate(zip(real, recorded, strict=False)) if pair[0] != pair[1]), None
    )
    first = found.first_change
    if parts is None:
        assert first is None or first >= len(real)
    else:
        assert first == parts and found.choices[: parts + 1].tolist() == real[: parts + 1]
        assert int(np.flatnonzero(found.exact[found.segment == 0])[-1]) == parts
