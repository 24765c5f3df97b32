"""Names in files and flags: ``[PHASE[.LEVEL]:]stage[#N].parameter``, without torch."""

from __future__ import annotations

import re
from dataclasses import dataclass

from valle.samplers.declaration import PHASES
from valle.samplers.errors import StackError, nearest

LISTS = (*PHASES, *(f"nar.{level}" for level in range(1, 8)))
"""The keys of a stack: a list of stages per phase, and for single levels of ``nar``."""

_STAGE = re.compile(r"(?P<name>[^#.]+)(?:#(?P<number>[0-9]{1,4}))?")


@dataclass(frozen=True, slots=True)
class StageName:
    """Which stage of which list is meant: ``number`` 1 is the first of its kind."""

    list: str
    stage: str
    number: int = 1

    @property
    def key(self) -> str:
        """The stage's name within its list."""
        return stage_key(self.stage, self.number)

    def __str__(self) -> str:
        return f"{self.list}:{self.key}"


def stage_key(stage: str, number: int) -> str:
    """``temperature`` for the first of its kind, ``temperature#2`` for the second."""
    return stage if number == 1 else f"{stage}#{number}"


def check_list(name: str) -> str:
    """The key of a stack's list. Raises StackError for one that does not exist."""
    if name in LISTS:
        return name
    if re.fullmatch(r"nar\.\d+", name):
        raise StackError(f'unknown level in "{name}": nar has the levels 1 to 7')
    if name.partition(".")[0] in PHASES:
        raise StackError(f'"{name}": only nar has levels, as in nar.3')
    raise StackError(f'unknown phase "{name}"; {nearest(name, PHASES)}')


def parse_stage(text: str, default_phase: str) -> StageName:
    """``nar.3:top_k#2`` as a name; without a phase the default one is meant."""
    before, colon, after = text.strip().rpartition(":")
    phase = check_list(before.strip() if colon else default_phase)
    match = _STAGE.fullmatch(after.strip())
    if match is None or match["number"] == "0":
        raise StackError(f'"{text}" names no stage; write it like temperature or nar.3:top_k#2')
    return StageName(phase, match["name"], int(match["number"] or 1))


def parse_parameter(text: str, default_phase: str) -> tuple[StageName, str]:
    """``nar.3:top_k.k`` as the stage's name and the parameter's; ``on`` and ``when`` are every stage's."""
    before, dot, parameter = text.strip().rpartition(".")
    if not dot or not parameter or ":" in parameter:
        raise StackError(f'"{text}" names no parameter; write it like temperature.value or nar.3:top_k.k')
    return parse_stage(before, default_phase), parameter
