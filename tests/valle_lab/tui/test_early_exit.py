"""The line of layers under the timeline: drawn where steps left early or had been drafted, else not there."""

from __future__ import annotations

import numpy as np

from valle.step import Place, StageMeasures, Step
from valle_lab.lab.timeline import Timeline
from valle_lab.packed_steps import PackedSteps
from valle_lab.tui.widgets.timeline import _early, _layers


def step(number: int, exit_layer: int = 0, drafted: int = 0) -> Step:
    one = np.ones(1, np.float32)
    measures = StageMeasures("raw", one.astype(np.int32), *[one] * 4, one.astype(np.int32), one, one)
    token = np.array([5], np.int16)
    return Step(
        "take",
        Place(0, "ar", 0, number),
        token,
        token,
        margin=one,
        measures=(measures,),
        exit_layer=exit_layer,
        drafted=drafted,
    )


def timeline(*steps: Step) -> Timeline:
    made = Timeline()
    for each in steps:
        made.add(each)
    return made


def test_layers_and_drafts_are_drawn_and_told() -> None:
    left = timeline(step(0), step(1, 3), step(2, 12), step(3))
    assert left.early
    assert _early(left, 0, 4, 3).cells == "3c "
    assert _early(left, 1, 4, 2).cells == "3·"
    assert _layers(left, 1) == " · 3 layers" and _layers(left, 3) == " · all layers"
    drafted = timeline(step(0), step(1, 0, 1), step(2, 0, -1))
    assert _early(drafted, 0, 3, 2).cells == "+-"
    assert _layers(drafted, 2) == " · all layers, not as drafted"
    plain = timeline(step(0), step(1))
    assert not plain.early and _layers(plain, 0) == ""


def test_finished_takes_keep_them() -> None:
    steps = [step(0), step(1, 3), step(2, 0, -1)]
    packed = PackedSteps(steps)
    assert [(each.exit_layer, each.drafted) for each in packed] == [(0, 0), (3, 0), (0, -1)]
    assert type(packed[1].exit_layer) is int
