"""Forks in a session: what came before is fed and judged by the model's numbers, the rest like any take."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from conftest import ToyCodec
from pydantic import ValidationError

from valle.fork import fork
from valle.inference import Engine
from valle.step import Place
from valle.take import Take
from valle_lab.session import schema
from valle_lab.session.convert import to_session_take
from valle_lab.session.replay import past_of, replay_take

PLACE = Place(1, "ar", 0, 4)


@pytest.fixture(scope="module")
def forked(speak: Callable[..., Take], origin: schema.Origin) -> schema.Take:
    """Another seed from the second sentence's fifth frame on: nobody would choose the same before it."""
    begun = fork(speak(), PLACE, "child", seed=3)
    child = speak(begun.control(), take="child", seed=3)
    return to_session_take(child, origin, parent=begun.parent, fork=begun.place)


@pytest.mark.parametrize("mode", ["exact", "tolerant", "forced"])
def test_the_past_of_a_fork_is_fed(forked: schema.Take, engine: Engine, mode: str) -> None:
    assert ToyCodec.hash == forked.origin.codec.sha256
    judgement, again = replay_take(forked, engine, mode)  # type: ignore[arg-type]
    assert judgement.verdict == "identical" and judgement.different == 0
    assert judgement.evidence_difference == 0.0
    assert len(past_of(forked, again)) == 10 + 7 + 4, "a sentence of ten frames, its levels, and four frames"
    alone, _ = replay_take(forked.model_copy(update={"fork": None}), engine, "exact")
    assert alone.verdict == "diverged", "without the fork nobody would come to these codes"


def test_another_model_is_found_out_in_the_past_already(forked: schema.Take, other_engine: Engine) -> None:
    judgement, _ = replay_take(forked, other_engine, "tolerant")
    assert (judgement.verdict, judgement.kind) == ("diverged", "model")
    assert judgement.first_divergence is not None and judgement.first_divergence.segment == 0


def test_a_fork_must_be_within_its_take(forked: schema.Take) -> None:
    document = forked.model_dump(mode="json")
    place = {"segment": 2, "phase": "ar", "level": 0, "step": 0}
    with pytest.raises(ValidationError, match="fork is in segment 2, but there are 2 sentences"):
        schema.Take.model_validate({**document, "fork": place}, strict=False)
    with pytest.raises(ValidationError, match="parent is the take itself"):
        schema.Take.model_validate({**document, "parent": "child"}, strict=False)
