"""What compared takes are called: by what each has otherwise."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from toy_model import toy_request

from valle.samplers.stack import Stack
from valle_lab.differences import peculiarities

BASE: list[dict[str, Any]] = [
    {"name": "temperature", "value": 0.9},
    {"name": "top_k", "k": 40},
    {"name": "draw"},
]


def called(*stacks: list[dict[str, Any]], nar: list[dict[str, Any]] | None = None) -> tuple[str, ...]:
    request = toy_request(7, "c")
    made = [Stack.from_dict({"ar": stack, "nar": nar or [{"name": "greedy"}]}) for stack in stacks]
    return peculiarities([replace(request, stack=stack) for stack in made])


def test_a_parameter_is_told_with_its_value() -> None:
    other = [{"name": "temperature", "value": 0.7}, *BASE[1:]]
    assert called(BASE, other) == ("temperature.value 0.9", "temperature.value 0.7")
    third = [{"name": "temperature", "value": 0.7}, {"name": "top_k", "k": 5}, {"name": "draw"}]
    assert called(BASE, other, third)[2] == "temperature.value 0.7, top_k.k 5"


def test_a_stage_that_only_one_has() -> None:
    assert called(BASE, [BASE[0], BASE[2]]) == ("top_k.k 40", "no top_k")
    many = [{"name": "dry", "multiplier": 0.8}, *BASE]
    assert called(BASE, many) == ("no dry", "dry")
    off = [BASE[0], {**BASE[1], "on": False}, BASE[2]]
    assert called(BASE, off) == ("top_k.k 40", "no top_k")


def test_stages_that_do_nothing_are_passed_over() -> None:
    idle = [{"name": "top_p", "p": 1.0}, *BASE]
    assert called(BASE, idle) == ("the same", "the same")
    assert called([{"name": "temperature", "value": 1.0}, {"name": "draw"}], [BASE[0], BASE[2]]) == (
        "temperature.value 1",
        "temperature.value 0.9",
    )


def test_choosers_orders_and_conditions() -> None:
    greedy = [*BASE[:2], {"name": "greedy"}]
    assert called(BASE, greedy) == ("draw, no greedy", "no draw, greedy")
    assert called(BASE, [BASE[1], BASE[0], BASE[2]]) == (
        "order temperature top_k draw",
        "order top_k temperature draw",
    )
    when = [{**BASE[0], "when": {"measure": "entropy", "above": 3.0}}, *BASE[1:]]
    assert "temperature.when" in called(BASE, when)[1]


def test_other_phases_and_all_else_that_is_heard() -> None:
    request = toy_request(7, "c", voice="anna")
    nar = Stack.from_dict({"ar": BASE, "nar": [{"name": "draw"}]})
    plain = Stack.from_dict({"ar": BASE, "nar": [{"name": "greedy"}]})
    one, other = peculiarities(
        [replace(request, stack=plain), replace(request, stack=nar, seed=8, prompt=None)]
    )
    assert one == "nar:greedy, no nar:draw, voice anna 12 frames, seed 7"
    assert other == "no nar:greedy, nar:draw, voice none, seed 8"
