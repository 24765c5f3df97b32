"""Whatever is said, in whose voice and through which stack: the session makes the same codes again.

Ten takes by default; the variable REPLAYS asks for more.
"""

from __future__ import annotations

import os
import random
from collections.abc import Iterator

import pytest

from valle.control import Event, ScheduledControl
from valle.inference import Engine
from valle.step import Place
from valle.voices import list_voices
from valle_lab.session.convert import to_session_take
from valle_lab.session.replay import replay_take
from valle_lab.session.save import parse_session, session_text
from valle_lab.session.schema import Content, Origin, new_session

REPLAYS = int(os.environ.get("REPLAYS", "10"))
TEXT = (
    "a quiet river turns under seven old bridges while nobody counts the boats or asks why morning fog "
    "smells of paper violet engines hum along the coast and children whistle numbers to each other"
)
WORDS = TEXT.split()
RANGES = {
    "temperature.value": (0.0, 1.3),
    "top_k.k": (1, 400),
    "top_p.p": (0.3, 1.0),
    "min_p.p": (0.0, 0.2),
    "repetition_penalty.penalty": (1.0, 1.6),
    "repetition_penalty.window": (1, 90),
    "minimum_length.steps": (0, 40),
    "guidance.scale": (0.0, 4.0),
    "nar:guidance.rescale": (0.0, 1.0),
    "nar:temperature.value": (0.0, 1.0),
    "nar.3:top_k.k": (1, 50),
}


@pytest.fixture(scope="module")
def engine() -> Iterator[Engine]:
    loaded = Engine.load(device="cpu", threads=1)
    yield loaded
    loaded.close()


def some_setting(chance: random.Random) -> tuple[str, int | float]:
    name = chance.choice(sorted(RANGES))
    low, high = RANGES[name]
    return name, chance.randint(int(low), int(high)) if isinstance(high, int) else chance.uniform(low, high)


@pytest.mark.parametrize("number", range(REPLAYS))
def test_a_random_take_replays_exactly(engine: Engine, number: int) -> None:
    chance = random.Random(number)
    text = " ".join(chance.choices(WORDS, k=chance.randint(1, 6))) + chance.choice([".", "?", "! Yes."])
    stack = engine.default_stack
    for name, value in (some_setting(chance) for _ in range(chance.randint(0, 5))):
        stack = stack.set(name, value)
    if chance.random() < 0.3:
        stack = stack.set("nar:draw.on", True)
    events = [
        Event("set", *some_setting(chance), Place(0, "ar", 0, chance.randint(0, 40)))
        for _ in range(chance.randint(0, 3))
    ]
    voice = chance.choice([*list_voices(), None])
    request = engine.request(text, voice=voice, stack=stack, seed=chance.getrandbits(64), max_seconds=0.8)
    take = engine.generate(request, ScheduledControl(events)).finish()

    content = Content(name="builtin", sha256=engine.model_hash)
    codec = Content(name=engine.codec.name, sha256=engine.codec.hash)
    origin = Origin(model=content, codec=codec, tokenizer=Content(name="", sha256=engine.tokenizer.hash))
    saved = session_text(new_session(to_session_take(take, origin)))
    record = parse_session(saved.encode(), "a session").take()

    judgement, again = replay_take(record, engine, "exact")
    assert judgement.verdict == "identical", judgement
    assert judgement.evidence_difference == 0.0
    assert [segment.stop for segment in again.segments] == [segment.stop for segment in take.segments]
