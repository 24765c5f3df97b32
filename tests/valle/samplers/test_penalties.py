"""Penalties, bans, biases and the stages about the length, against values worked by hand."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from tests.valle.samplers.examples import NEVER, run
from valle.samplers import Stack, StackError
from valle.samplers.rows import Rows


def after(logits: list[float], name: str, *, past: list[int] | None = None, **parameters: Any) -> list[float]:
    """What one stage makes of a row with this past."""
    rows = Rows.of("ar", past=torch.tensor([past])) if past else Rows.of("ar")
    return run(torch.tensor([logits]), {"name": name, **parameters}, rows=rows)[0].tolist()


def at_step(logits: list[float], step: int, name: str, **parameters: Any) -> list[float]:
    """What one stage makes of a row at this step; the last id is stop."""
    rows = Rows.of("ar", step=step, stop=len(logits) - 1)
    return run(torch.tensor([logits]), {"name": name, **parameters}, rows=rows)[0].tolist()


def test_frequency_penalty_counts_occurrences() -> None:
    past = [0, 1, 0, 0, 1]
    assert after([2.0, 2.0, 2.0], "frequency_penalty", past=past, penalty=0.5) == [0.5, 1.0, 2.0]
    assert after([2.0, 2.0], "frequency_penalty", past=past, penalty=0.5, window=2) == [1.5, 1.5]
    assert after([2.0, -2.0], "frequency_penalty", past=past, penalty=-0.5) == [3.5, -1.0]


def test_presence_penalty_counts_once() -> None:
    past = [0, 1, 0, 0, 3]
    assert after([2.0, -2.0, 2.0, 0.0], "presence_penalty", past=past, penalty=0.5) == [1.5, -2.5, 2.0, -0.5]
    assert after([2.0, 2.0, 2.0, 2.0], "presence_penalty", past=past, penalty=0.5, window=1) == [2, 2, 2, 1.5]


@pytest.mark.parametrize("name", ["frequency_penalty", "presence_penalty", "repetition_penalty"])
def test_a_penalty_looks_back_over_a_second_by_default(name: str) -> None:
    long_ago = after([4.0, 4.0, 4.0], name, past=[0] + [1] * 75, penalty=1.5)
    assert long_ago[0] == 4.0 and long_ago[1] < 4.0 and long_ago[2] == 4.0
    assert after([4.0, 4.0, 4.0], name, past=[0] + [1] * 74, penalty=1.5)[0] < 4.0


@pytest.mark.parametrize("name", ["frequency_penalty", "presence_penalty", "repetition_penalty", "dry"])
def test_history_is_no_business_of_a_nar_level(name: str) -> None:
    with pytest.raises(StackError, match=f"nar:{name} makes no sense in nar: a level is decided in one pass"):
        Stack.from_dict({"nar": [{"name": name}, {"name": "greedy"}]})


@pytest.mark.parametrize("name", ["dry", "no_repeat_ngram", "silence_penalty"])
def test_sequences_are_no_business_of_what_is_decided_out_of_order(name: str) -> None:
    with pytest.raises(StackError, match="positions are decided out of order"):
        Stack.from_dict({"nar_len": [{"name": name}, {"name": "greedy"}]})


def test_ids_outside_the_head_are_ignored() -> None:
    for name in ("frequency_penalty", "presence_penalty"):
        assert after([1.0, 1.0], name, past=[2, 1024, 1], penalty=1.0) == [1.0, 0.0]
    assert after([1.0, 1.0], "logit_bias", biases={"1": 2.0, "7": 3.0}) == [1.0, 3.0]


def test_logit_bias_adds_to_single_ids() -> None:
    assert after([1.0, -1.0, 0.0], "logit_bias", biases={"0": -0.5, "2": 4.0}) == [0.5, -1.0, 4.0]
    stack = Stack.from_dict({"ar": [{"name": "draw"}]}).set_text('logit_bias.biases={"3": -1.5}')
    assert stack.to_dict()["ar"][0] == {"name": "logit_bias", "biases": {"3": -1.5}}


def test_length_penalty_knows_the_sign() -> None:
    # 100 steps to the power of 0.5 is 10.
    assert at_step([3.0, 10.0], 100, "length_penalty", penalty=0.5) == pytest.approx([3.0, 1.0])
    assert at_step([3.0, -10.0], 100, "length_penalty", penalty=0.5) == pytest.approx([3.0, -100.0])
    assert at_step([3.0, 10.0], 100, "length_penalty", penalty=-0.5) == pytest.approx([3.0, 100.0])
    assert at_step([3.0, -10.0], 100, "length_penalty", penalty=-0.5) == pytest.approx([3.0, -1.0])


def test_length_penalty_of_other_ids_and_at_the_start() -> None:
    penalised = at_step([8.0, -2.0, 5.0], 16, "length_penalty", penalty=0.25, ids=[0, 1, 99])
    assert penalised == pytest.approx([4.0, -4.0, 5.0])
    for step in (0, 1):
        assert at_step([3.0, 10.0], step, "length_penalty", penalty=0.5) == [3.0, 10.0]


def test_length_penalty_of_each_row_is_of_its_own_step() -> None:
    rows = Rows.of("ar", 3, step=[1, 4, 100], stop=1)
    final = run(torch.tensor([[0.0, 6.0]] * 3), {"name": "length_penalty", "penalty": 0.5}, rows=rows)
    assert final[:, 1].tolist() == pytest.approx([6.0, 3.0, 0.6])


def test_exponential_decay_raises_stop_after_the_start() -> None:
    stage = {"name": "exponential_decay_length", "start": 10, "factor": 1.1}
    assert at_step([0.0, 2.0], 10, **stage) == [0.0, 2.0]
    assert at_step([0.0, 2.0], 13, **stage) == pytest.approx([0.0, 2 * 1.1**3])
    assert at_step([0.0, -2.0], 13, **stage) == pytest.approx([0.0, -2 + 2 * (1.1**3 - 1)])
    assert at_step([0.0, NEVER], 13, **stage) == [0.0, NEVER]
    endless = at_step([0.0, 2.0], 100_000, **stage)[1]
    assert 1e30 < endless < float("inf")


def test_stop_is_gated_unless_it_is_the_most_likely() -> None:
    assert at_step([2.0, 1.0], 5, "stop_gate") == [2.0, NEVER]
    assert at_step([1.0, 2.0], 5, "stop_gate") == [1.0, 2.0]
    # Among equals the lowest id is the most likely one.
    assert at_step([2.0, 2.0], 5, "stop_gate") == [2.0, NEVER]


def test_stop_is_gated_below_a_probability() -> None:
    quarter = torch.tensor([0.5, 0.25, 0.25]).log().tolist()
    gate = {"name": "stop_gate", "argmax": False}
    assert at_step(quarter, 5, **gate, probability=0.24) == pytest.approx(quarter)
    assert at_step(quarter, 5, **gate, probability=0.26)[2] == NEVER
    assert at_step(quarter, 5, "stop_gate", probability=0.24)[2] == NEVER
    assert at_step([NEVER, NEVER, -5.0], 5, "stop_gate", probability=1.0) == [NEVER, NEVER, -5.0]


@pytest.mark.parametrize(
    "name", ["length_penalty", "exponential_decay_length", "stop_gate", "minimum_length"]
)
@pytest.mark.parametrize("phase", ["nar", "nar_len"])
def test_where_nothing_stops_the_stages_about_stop_are_refused(name: str, phase: str) -> None:
    with pytest.raises(StackError, match="there is no stop token"):
        Stack.from_dict({phase: [{"name": name}, {"name": "greedy"}]})


def test_without_a_stop_token_nothing_happens() -> None:
    for name in ("length_penalty", "exponential_decay_length", "stop_gate"):
        stage = {"name": name, "penalty": 1.0} if name == "length_penalty" else {"name": name}
        rows = Rows.of("ar", step=1000)
        assert run(torch.tensor([[1.0, 2.0]]), stage, rows=rows).tolist() == [[1.0, 2.0]]
