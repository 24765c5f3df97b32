"""The declarations of all stages: data, without torch."""

from __future__ import annotations

from valle.samplers.declaration import StageDeclaration
from valle.samplers.errors import StackError, nearest
from valle.samplers.stages import (
    bans,
    choosers,
    guidance,
    length,
    loops,
    penalties,
    search,
    temperature,
    truncation,
    truncation_set,
    truncation_threshold,
)

_FAMILIES = (
    guidance,
    bans,
    penalties,
    loops,
    length,
    truncation,
    truncation_set,
    truncation_threshold,
    temperature,
    choosers,
    search,
)

STAGES: dict[str, StageDeclaration] = {
    declaration.name: declaration for module in _FAMILIES for declaration in module.DECLARATIONS
}
"""Every stage by name, families in the order in which they usually stand."""


def find(name: str) -> StageDeclaration:
    """The declaration of that name.

    Raises StackError where there is none, which names the stage that others call so, or the nearest.
    """
    declaration = STAGES.get(name)
    if declaration is None:
        for known in STAGES.values():
            if name.lower().replace("-", "_") in known.also:
                raise StackError(f'"{name}" is called "{known.name}" here')
        raise StackError(f'unknown stage "{name}"; {nearest(name, list(STAGES))}')
    return declaration
