"""What is written in the values of options: changes at a step, a part of a recording."""

from __future__ import annotations

import re
from typing import Any

from valle.control import Event
from valle.errors import UserError
from valle.samplers import parse_setting
from valle.samplers.declaration import plain
from valle.samplers.naming import check_list
from valle.samplers.values import Condition, Curve, Value
from valle.step import Place

LAST_STEP = 1_000_000
LAST_SECOND = 86_400.0

_CHANGE = re.compile(
    r"(?:(?P<segment>[0-9]{1,6})/)?(?:(?P<list>[a-z_]+(?:\.[0-9]+)?):)?(?P<step>[0-9]{1,9}):(?P<setting>[^:]+=.*)",
    re.DOTALL,
)
_NUMBER = r"[0-9]{1,9}(?:\.[0-9]{0,9})?|\.[0-9]{1,9}"
_PROMPT = re.compile(rf"(?P<start>{_NUMBER})\+(?P<seconds>{_NUMBER})")


def parse_change(text: str, phase: str = "ar") -> Event:
    """`[SEGMENT/][PHASE[.LEVEL]:]STEP:stage.param=value` as the event that sets it.

    The phase says both where the change happens and whose list of stages it changes; `phase` is meant where
    none is named. `nar` without a level is its first pass, level 1. Raises UserError.
    """
    match = _CHANGE.fullmatch(text.strip())
    if match is None:
        raise UserError(f"--at {text!r} must look like 40:temperature.value=0.7 or 1/nar.3:0:top_k.k=5")
    stages = check_list(match["list"] or phase)
    if (step := int(match["step"])) > LAST_STEP:
        raise UserError(f"--at {text!r}: step {step} is too late; {LAST_STEP} is the last that can be named")
    target, value = parse_setting(match["setting"], stages)
    name, _, level = stages.partition(".")
    place = Place(int(match["segment"] or 0), name, int(level or (name == "nar")), step)
    return Event("set", f"{stages}:{target}", plain_value(value), place)


def parse_prompt(text: str) -> tuple[float, float]:
    """`START+SECONDS` of a recording, both in seconds. Raises UserError."""
    match = _PROMPT.fullmatch(text.strip())
    if match is None:
        raise UserError(f"--prompt {text!r} must be START+SECONDS of the recording, such as 1.5+3")
    start, seconds = float(match["start"]), float(match["seconds"])
    if seconds == 0 or start + seconds > LAST_SECOND:
        raise UserError(f"--prompt {text!r}: SECONDS must be above 0 and the end within {LAST_SECOND:g} s")
    return start, seconds


def plain_value(value: Value | Condition) -> Any:
    """A setting's value in the types of JSON, as an event carries it."""
    return value.to_dict() if isinstance(value, Curve | Condition) else plain(value)
