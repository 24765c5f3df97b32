"""Scales of sliders: every parameter that is declared, there and back, and steps that stay on their grid."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from valle.samplers.declaration import Parameter
from valle.samplers.stages import STAGES
from valle.samplers.values import check_value
from valle_lab.tui.scale import Scale

NUMBERS = [
    (f"{stage.name}.{parameter.name}", parameter)
    for stage in STAGES.values()
    for parameter in stage.parameters
    if parameter.type in ("number", "integer")
]


@pytest.mark.parametrize("parameter", [p for _, p in NUMBERS], ids=[name for name, _ in NUMBERS])
def test_whatever_a_slider_gives_the_stack_takes(parameter: Parameter) -> None:
    scale = Scale.of(parameter)
    shares = [scale.share(scale.value(part / 20)) for part in range(21)]
    assert shares == sorted(shares)
    assert scale.value(0.0) == scale.low and scale.value(1.0) == scale.high
    for part in range(21):
        value = scale.value(part / 20)
        for near in (value, scale.moved(value, 1), scale.moved(value, -1), scale.moved(value, 0.1)):
            check_value("x", parameter, int(near) if scale.whole else near)


@given(st.floats(0, 5), st.sampled_from([1, -1, 10, -10]))
def test_a_step_lands_on_the_grid_and_goes_the_right_way(value: float, steps: int) -> None:
    moved = Scale(0.0, 5.0, 0.05, whole=False, logarithmic=False).moved(value, steps)
    assert math.isclose(moved / 0.05, round(moved / 0.05), abs_tol=1e-6)
    assert 0 <= moved <= 5
    assert moved in (0.0, 5.0) or (moved - value) * steps > 0


def test_wide_ranges_have_room_for_small_values() -> None:
    top_k = Scale.of(STAGES["top_k"].parameters[0])
    assert 0.2 < top_k.share(50) < 0.5 < top_k.share(5000)
    penalty = Scale.of(STAGES["repetition_penalty"].parameters[0])
    assert penalty.share(1.0) == pytest.approx(0.5), "0.1 to 10 is even around 1"
