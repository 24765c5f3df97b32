"""What may be chosen of a task and a mode, and how it travels."""

from __future__ import annotations

import json
from typing import Any

import pytest

from valle.errors import UserError
from valle.manner import Manner, with_demasking
from valle.modes import Demasking


def test_a_manner_survives_being_written_down() -> None:
    manner = Manner(
        mode="nar-len", demasking=Demasking(steps=7, start=0.25), history=2, silence=0.5, phonemizer="ipa"
    )
    assert Manner.from_dict(json.loads(json.dumps(manner.to_dict()))) == manner


@pytest.mark.parametrize(
    ("name", "value", "read"),
    [("steps", "12", 12), ("start", "0.3", 0.3), ("remasking", "off", False), ("confidence", "best", "best")],
)
def test_demasking_is_set_by_words(name: str, value: str, read: Any) -> None:
    assert getattr(with_demasking(Manner(), name, value).demasking, name) == read


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("steps", "many"),
        ("steps", "0"),
        ("start", "2"),
        ("remasking", "perhaps"),
        ("confidence", "foo"),
        ("pace", "1"),
    ],
)
def test_what_demasking_does_not_take_is_one_line(name: str, value: str) -> None:
    with pytest.raises(UserError) as caught:
        with_demasking(Manner(), name, value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "wrong",
    [
        {"task": "sing"},
        {"mode": "sung"},
        {"history": -1},
        {"silence": 99.0},
        {"ar_frames": 0},
        {"phonemizer": "guess"},
    ],
)
def test_what_makes_no_sense_is_one_line(wrong: dict[str, Any]) -> None:
    with pytest.raises(UserError):
        Manner(**wrong)
