"""Going on from the middle of a take, by the loops alone: what is fed, what is decided, what is refused."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from valle.control import Event, ScheduledControl
from valle.errors import UserError
from valle.fork import Fork, fork
from valle.request import Recipe
from valle.step import Place
from valle.take import Take, codes_sha256

Speak = Callable[..., Take]
EVENTS = (
    Event("set", "mirostat.target", 3.0, Place(0, "ar", 0, 2)),
    Event("force", value=77, place=Place(0, "ar", 0, 5)),
    Event("set", "nar.3:temperature.value", 0.5, Place(0, "nar", 3, 0)),
    Event("set", "temperature.value", 0.6, Place(1, "ar", 0, 4)),
)
PLACES = (Place(0, "ar", 0, 0), Place(0, "ar", 0, 5), Place(0, "nar", 3, 0), Place(1, "ar", 0, 7))


def made(speak: Speak, begun: Fork) -> Take:
    changes: dict[str, Any] = {
        name: getattr(begun.request, name) for name in ("stack", "seed", "take", "recipe")
    }
    return speak(begun.control(), **changes)


def tokens(take: Take, before: Place) -> list[list[int]]:
    places = [step.place for step in take.steps]
    return [step.tokens.tolist() for step in take.steps[: places.index(before)]]


@pytest.mark.parametrize("place", PLACES, ids=str)
def test_a_fork_without_a_change_is_its_parent(speak: Speak, place: Place) -> None:
    parent = speak(ScheduledControl(EVENTS))
    begun = fork(parent, place, "again")
    again = made(speak, begun)
    places = [step.place for step in parent.steps]
    assert tokens(again, place) == tokens(parent, place)
    kept = [event for event in EVENTS if places.index(event.place) <= places.index(place)]
    assert list(again.events) == kept and begun.parent == "take"
    unchanged = speak(ScheduledControl(kept))
    assert codes_sha256(again.segments) == codes_sha256(unchanged.segments), "later changes are not repeated"
    for ours, theirs in zip(again.steps, unchanged.steps, strict=True):
        assert np.array_equal(ours.log_probability, theirs.log_probability)
        assert ours.evidence is not None and theirs.evidence is not None
        assert np.array_equal(ours.evidence.logsumexp, theirs.evidence.logsumexp)


@pytest.mark.parametrize("place", PLACES[1:], ids=str)
def test_another_stack_or_seed_begins_at_the_fork(speak: Speak, place: Place) -> None:
    parent = speak(ScheduledControl(EVENTS))
    other = parent.request.stack.set("temperature.value", 1.3).set("nar:draw.on", True)
    for begun in (fork(parent, place, "a", stack=other), fork(parent, place, "b", seed=8, stack=other)):
        child = made(speak, begun)
        assert tokens(child, place) == tokens(parent, place)
        assert codes_sha256(child.segments) != codes_sha256(parent.segments)
        assert begun.request.stack == parent.request.stack, "the stack comes with an event"
    assert fork(parent, place, "c", stack=parent.request.stack).events[-1].kind == "replace"


def test_a_forced_token_stands_in_the_place_of_another(speak: Speak) -> None:
    parent, place = speak(ScheduledControl(EVENTS)), Place(0, "ar", 0, 5)
    child = made(speak, fork(parent, place, "child", force=78))
    assert child.segments[0].levels[0][5] == 78 and tokens(child, place) == tokens(parent, place)
    assert [event.value for event in child.events if event.kind == "force"] == [78]
    stopped = made(speak, fork(parent, place, "short", force=1024))
    assert stopped.segments[0].frames == 5 and stopped.segments[0].stop == "stop"


def test_a_take_goes_on_from_where_it_was_stopped(speak: Speak) -> None:
    whole, place = speak(), Place(1, "ar", 0, 4)
    for kind in ("cancel", "finish"):
        parent = speak(ScheduledControl([Event(kind, place=place)]))  # type: ignore[arg-type]
        begun = fork(parent, place, "on")
        assert not [event for event in begun.events if event.kind == kind]
        assert codes_sha256(made(speak, begun).segments) == codes_sha256(whole.segments)
    killed = replace(whole, steps=whole.steps[: [step.place for step in whole.steps].index(place)])
    assert codes_sha256(made(speak, fork(killed, place, "on")).segments) == codes_sha256(whole.segments)
    earlier = Event("finish", place=Place(0, "ar", 0, 6))
    shorter = speak(ScheduledControl([earlier]))
    again = made(speak, fork(shorter, place, "on"))
    assert codes_sha256(again.segments) == codes_sha256(shorter.segments), "what ended before stays ended"


def test_a_take_of_a_batch_is_gone_on_with_alone(speak: Speak) -> None:
    parent = speak(recipe=Recipe(batch=("take", "other")))
    assert fork(parent, Place(0, "ar", 0, 3), "alone").request.recipe.batch == ()


def test_a_search_is_forked_at_its_beginning_or_behind_it(speak: Speak, request_: Any) -> None:
    stack = request_.stack.set("best_of.count", 2)
    parent = speak(stack=stack)
    with pytest.raises(UserError, match="best_of has decided the steps of this phase together; fork at"):
        fork(parent, Place(0, "ar", 0, 3), "child")
    level = Place(0, "nar", 2, 0)
    child = made(speak, fork(parent, level, "child", stack=stack.set("nar:draw.on", True)))
    assert tokens(child, level) == tokens(parent, level)
    with pytest.raises(UserError, match="best_of begins with the first step of a phase"):
        fork(speak(), Place(0, "ar", 0, 3), "child", stack=stack)
    plain = made(speak, fork(parent, Place(0, "ar", 0, 0), "plain", stack=request_.stack))
    assert codes_sha256(plain.segments) == codes_sha256(speak().segments)


def test_what_cannot_be_forked_says_why_in_one_line(speak: Speak) -> None:
    parent = speak()
    at = Place(0, "ar", 0, 3)
    for begin, reason in (
        (lambda: fork(parent, Place(0, "ar", 0, 99), "x"), "take has no step 0/ar.0:99; its last one is"),
        (lambda: fork(parent, Place(7, "ar", 0, 0), "x"), "has no step 7/ar.0:0"),
        (lambda: fork(parent, at, "x", force=1025), "1025 must be a number from 0 to 1024"),
        (lambda: fork(parent, at, "x", force=-1), "-1 must be a number"),
        (lambda: fork(parent, Place(0, "nar", 2, 0), "x", force=3), "not in nar"),
        (lambda: fork(parent, at, "x", seed=-1), "The seed -1 is out of range"),
        (lambda: fork(replace(parent, steps=()), at, "x"), "has no steps; speak again"),
    ):
        with pytest.raises(UserError, match=reason) as told:
            begin()
        assert len(str(told.value).splitlines()) == 1
