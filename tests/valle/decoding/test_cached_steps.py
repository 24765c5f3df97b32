"""What a step costs: the model reads what is new, and nothing twice."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from valle.models.ar_nar import ArNar
from valle.samplers.stack import Stack
from valle.take import Take


@pytest.mark.parametrize(
    "stages",
    [
        [{"name": "draw"}],
        [{"name": "guidance", "scale": 2.0}, {"name": "draw"}],
        [{"name": "beam_search", "width": 3}],
        [{"name": "best_of", "count": 3}],
    ],
)
def test_a_step_reads_one_position(
    stages: list[dict[str, Any]], model: ArNar, speak: Callable[..., Take]
) -> None:
    """Defect 56: its cache is switched off, so that every step reads all of the past again."""
    widths: list[int] = []

    def look(_: Any, arguments: tuple[Any, ...]) -> None:
        widths.append(arguments[0].shape[1])

    hook = model.model.register_forward_pre_hook(look)
    try:
        take = speak(
            stack=Stack.from_dict({"ar": stages, "nar": [{"name": "greedy"}]}), max_levels=1, max_frames=8
        )
    finally:
        hook.remove()
    # Every sentence is read once.
    assert sum(width > 1 for width in widths) == 2
    frames = [sum(step.place.segment == segment for step in take.steps) for segment in (0, 1)]
    assert widths.count(1) >= sum(frames) - 2
    if stages[-1]["name"] == "draw":
        assert widths.count(1) == sum(frames) - 2
