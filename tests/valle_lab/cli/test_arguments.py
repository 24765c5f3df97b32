"""What people write in --at and --prompt, and what becomes of it."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from valle.errors import UserError
from valle.samplers import Stack
from valle.step import Place
from valle_lab.cli.arguments import parse_change, parse_prompt
from valle_lab.speak import check_schedule

STACK = Stack.from_dict({"ar": [{"name": "temperature"}, {"name": "draw"}], "nar": [{"name": "greedy"}]})


@pytest.mark.parametrize(
    ("text", "place", "name", "value"),
    [
        ("40:temperature.value=0.7", Place(0, "ar", 0, 40), "ar:temperature.value", 0.7),
        ("0:top_k.k=5", Place(0, "ar", 0, 0), "ar:top_k.k", 5),
        ("1/12:top_p.on=false", Place(1, "ar", 0, 12), "ar:top_p.on", False),
        ("ar:7:min_p.p=.1", Place(0, "ar", 0, 7), "ar:min_p.p", None),
        ("2/nar.3:0:temperature#2.value=0.5", Place(2, "nar", 3, 0), "nar.3:temperature#2.value", 0.5),
        ("nar:0:temperature.value=0", Place(0, "nar", 1, 0), "nar:temperature.value", 0.0),
        ("nar_len:3:temperature.value=2", Place(0, "nar_len", 0, 3), "nar_len:temperature.value", 2.0),
        ("5:top_p.rule=llama3", Place(0, "ar", 0, 5), "ar:top_p.rule", "llama3"),
        ("5:ban_tokens.ids=1,2", Place(0, "ar", 0, 5), "ar:ban_tokens.ids", [1, 2]),
        (
            '5:temperature.value={"curve": "linear", "values": [1, 0.5], "begin": 0, "end": 75}',
            Place(0, "ar", 0, 5),
            "ar:temperature.value",
            {"curve": "linear", "values": [1.0, 0.5], "begin": 0.0, "end": 75.0},
        ),
    ],
)
def test_change(text: str, place: Place, name: str, value: object) -> None:
    if value is None:
        with pytest.raises(UserError, match=r"min_p\.p"):
            parse_change(text)
        return
    event = parse_change(text)
    assert (event.kind, event.place, event.name, event.value) == ("set", place, name, value)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "40:temperature.value=0.7"),
        ("40", "must look like"),
        ("40:temperature.value", "must look like"),
        ("temperature.value=0.7", "must look like"),
        ("-1:temperature.value=0.7", "must look like"),
        ("1.5:temperature.value=0.7", "must look like"),
        ("40:temperature=0.7", "names no parameter"),
        ("40:temprature.value=0.7", 'nearest is "temperature"'),
        ("40:temperature.valeu=0.7", 'nearest is "value"'),
        ("40:temperature.value=hot", "must be a number"),
        ("40:temperature.value=NaN", "finite"),
        ("40:temperature.value=1e999", "finite"),
        ("40:temperature.value=-1", "between 0"),
        ("40:top_k.k=1.5", "whole number"),
        ("nar.9:0:temperature.value=1", "levels 1 to 7"),
        ("ar.1:0:temperature.value=1", "only nar has levels"),
        ("xar:0:temperature.value=1", "unknown phase"),
        ("99999999:temperature.value=1", "too late"),
        ("40:nar:temperature.value=1", "must look like"),
    ],
)
def test_bad_change(text: str, says: str) -> None:
    with pytest.raises(UserError, match=re.escape(says)) as caught:
        parse_change(text)
    assert len(str(caught.value).splitlines()) == 1


@given(
    segment=st.integers(0, 999),
    stages=st.sampled_from(["ar", "nar.1", "nar.7", "nar_len"]),
    step=st.integers(0, 1_000_000),
    value=st.floats(0, 5),
)
def test_change_says_back_what_was_written(segment: int, stages: str, step: int, value: float) -> None:
    event = parse_change(f"{segment}/{stages}:{step}:temperature.value={value!r}")
    phase, _, level = stages.partition(".")
    assert event.place == Place(segment, phase, int(level or 0), step)
    assert (event.name, event.value) == (f"{stages}:temperature.value", value)


@given(st.text(alphabet="019/:.=arn_#temperature value{}[]\n", max_size=40))
def test_any_change_is_an_event_or_one_sentence(text: str) -> None:
    try:
        parse_change(text)
    except UserError as error:
        assert str(error)


def test_changes_are_tried_in_their_order() -> None:
    later, sooner = parse_change("9:top_k#2.k=3"), parse_change("4:top_k.k=3")
    check_schedule((later, sooner), STACK)
    with pytest.raises(UserError, match="top_k"):
        check_schedule((later,), STACK)
    with pytest.raises(UserError, match="makes no sense in nar"):
        check_schedule((parse_change("nar:0:repetition_penalty.penalty=2"),), STACK)


@pytest.mark.parametrize(
    ("text", "part"),
    [("0+3", (0.0, 3.0)), ("1.5+3", (1.5, 3.0)), (".5+.25", (0.5, 0.25)), (" 2.+1 ", (2.0, 1.0))],
)
def test_prompt(text: str, part: tuple[float, float]) -> None:
    assert parse_prompt(text) == part


@pytest.mark.parametrize(
    "text", ["", "3", "+3", "3+", "-1+3", "1+0", "1+-2", "1e9+3", "nan+1", "0+inf", "1,5+3", "9999999+1"]
)
def test_bad_prompt(text: str) -> None:
    with pytest.raises(UserError, match="--prompt"):
        parse_prompt(text)


@given(st.floats(0, 1000), st.floats(0.001, 1000))
def test_prompt_says_back_what_was_written(start: float, seconds: float) -> None:
    got = parse_prompt(f"{start:.6f}+{seconds:.6f}")
    assert got == (pytest.approx(start, abs=1e-6), pytest.approx(seconds, abs=1e-6))
