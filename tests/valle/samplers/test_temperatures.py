"""Temperatures and what else reshapes a row, against golden values and the formulas in numpy."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from tests.valle.samplers.examples import GOLDEN, NEVER, random_logits, run
from valle.samplers import Stack


def of(logits: list[float], name: str, **parameters: object) -> list[float]:
    """What one stage makes of a row."""
    return run(torch.tensor([logits]), {"name": name, **parameters})[0].tolist()


def test_dynamic_temperature_golden_values() -> None:
    by_entropy = of(GOLDEN, "dynamic_temperature", minimum=0.5, maximum=1.5)
    assert by_entropy == pytest.approx([value / 1.121318 for value in GOLDEN], abs=1e-5)
    sigmoid = of(GOLDEN, "dynamic_temperature", form="sigmoid", minimum=0.2, maximum=1.0)
    assert sigmoid == pytest.approx([value / 0.362862 for value in GOLDEN], abs=2e-5)


def test_dynamic_temperature_between_its_ends() -> None:
    # A flat row has all the entropy there can be, a row with one id none.
    assert of([1.0] * 4, "dynamic_temperature", maximum=2.0) == pytest.approx([0.5] * 4)
    assert of([40.0, 0.0], "dynamic_temperature", minimum=0.5) == pytest.approx([80.0, 0.0], rel=1e-5)
    assert of([40.0, 1.0], "dynamic_temperature", minimum=0.0, maximum=1e-6) == [40.0, NEVER]
    spread = 0.999973 / math.log(5)
    squared = of(GOLDEN, "dynamic_temperature", minimum=0.5, maximum=1.5, exponent=2.0)
    assert squared == pytest.approx([value / (0.5 + spread**2) for value in GOLDEN], abs=1e-4)


def test_dynamic_temperature_counts_only_ids_that_can_be_taken() -> None:
    assert of([3.0, 3.0, NEVER, NEVER], "dynamic_temperature", maximum=1.5) == [2.0, 2.0, NEVER, NEVER]
    assert of([3.0, NEVER, NEVER], "dynamic_temperature", maximum=1.5) == [3.0, NEVER, NEVER]


def test_a_minimum_temperature_is_at_most_the_maximum() -> None:
    stage = {"name": "dynamic_temperature", "minimum": 2.0, "maximum": 0.8}
    effective = Stack.from_dict({"ar": [stage, {"name": "draw"}]}).effective("ar")[0]
    assert effective.parameters["minimum"] == 0.8 and effective.notes
    curve = {"curve": "linear", "values": [0.1, 2.0], "end": 1.0, "over": "entropy"}
    final = run(torch.tensor([[1.0, 1.0]]), {**stage, "minimum": curve})
    assert final[0].tolist() == pytest.approx([1.25, 1.25])


def test_quadratic_smoothing_golden_values() -> None:
    assert of(GOLDEN, "quadratic_smoothing", factor=0.3) == pytest.approx([2, 1.7, 0.8, -0.7, -2.8])
    assert of(GOLDEN, "quadratic_smoothing", factor=0.3, curve=2.0) == pytest.approx([2, 1.7, 0.2, -3.4, -10])
    assert of([1.0, NEVER, 0.0], "quadratic_smoothing", factor=0.5) == [1.0, NEVER, 0.5]


def test_the_unified_sampler_of_the_formula() -> None:
    for linear, confidence, square in ((0.5, 0.4, 0.0), (0.72, -0.07, 0.14), (1.0, 0.0, 0.3)):
        logits = random_logits(5, 40, 3)
        found = run(
            logits,
            {"name": "unified", "linear": linear, "confidence": confidence, "quadratic": square},
        )
        p = np.exp(logits.double().numpy())
        p /= p.sum(-1, keepdims=True)
        spread = -(p * np.log(p)).sum(-1, keepdims=True)
        expected = np.log(p) * (linear + confidence * spread) - square * np.log(p) ** 2
        assert np.allclose(found.numpy(), expected, rtol=1e-4, atol=1e-4)


def test_a_unified_sampler_with_only_the_linear_part_is_a_temperature() -> None:
    logits = random_logits(4, 30)
    unified = run(logits, {"name": "unified", "linear": 1.25, "confidence": 0.0, "quadratic": 0.0})
    cooled = run(logits, {"name": "temperature", "value": 0.8})
    assert torch.allclose(unified.softmax(-1), cooled.softmax(-1), atol=1e-6)


def test_temperature_stands_any_number_of_times() -> None:
    logits = random_logits(3, 20)
    twice = run(logits, {"name": "temperature", "value": 0.5}, {"name": "temperature", "value": 3.0})
    assert torch.allclose(twice, logits / 1.5)
