"""How far logits may move when a replay chooses otherwise, and for how many positions that is asked."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from valle.control import Guide, ScheduledControl
from valle.decoding import decide
from valle.decoding.reach import within_reach
from valle.request import Request
from valle.samplers.rows import Rows
from valle.samplers.sampler import Sampler
from valle.samplers.stack import Stack
from valle.step import Evidence

GREEDY = Sampler(Stack.from_dict({"ar": [{"name": "greedy"}]}), "ar")


@pytest.mark.parametrize(
    ("logits", "relative", "reachable"),
    [
        ([40.0, 39.2, 0.0], 0.0125, True),  # by 0.5 and 0.49
        ([40.0, 38.9, 0.0], 0.0125, False),
        ([40.0, 39.2, 0.0], 0.0, False),  # by 0.05 each
        ([1.0, 0.95, -300.0], 0.0125, True),
        ([1.0, 0.8, -300.0], 0.0125, False),  # that another logit may move far changes nothing
    ],
)
def test_a_logit_moves_as_far_as_its_own_value_lets_it(
    logits: list[float], relative: float, reachable: bool
) -> None:
    guide = Guide(np.array([1]), tolerance=0.05, relative=relative)
    found = within_reach(
        GREEDY, torch.tensor([logits]), Rows.of("ar"), GREEDY.start(1), row=0, replayed=0, guide=guide
    )
    assert found is reachable


def test_a_search_allows_what_its_farthest_recorded_logit_may_move() -> None:
    numbers = np.array([3.0, -40.0])
    guide = Guide(np.array([1]), Evidence(numbers, numbers), tolerance=0.05, relative=0.0125)
    assert guide.farthest == 0.5
    assert Guide(np.array([1]), tolerance=0.05, relative=0.0125).farthest == 0.05


def test_reach_is_asked_until_one_position_is_not_explained(
    request_: Request, speak: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert callable(speak)
    recorded = speak()
    step = next(item for item in recorded.steps if item.place.phase == "nar")
    assert len(step.tokens) > 3
    asked: list[int] = []

    def answer(*_: object, row: int, **__: object) -> bool:
        asked.append(row)
        return row < 2

    monkeypatch.setattr(decide, "within_reach", answer)
    guide = Guide((step.tokens + 1) % 1024, None, None, 1e-3)
    other = speak(ScheduledControl([], {step.place: guide}))
    found = next(item for item in other.steps if item.place == step.place).within_reach
    assert asked == [0, 1, 2]
    assert found.tolist() == [True, True, *[False] * (len(step.tokens) - 2)]
