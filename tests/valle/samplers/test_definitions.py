"""The processors of transformers on random rows, where both have the stage."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch

from tests.valle.samplers.examples import NEVER, random_logits, run
from valle.samplers.rows import Rows

STEP, STOP = 40, 31


def _processors() -> Any:
    from transformers.generation import logits_process

    return logits_process


CASES: list[tuple[str, dict[str, Any], Callable[[Any], Any]]] = [
    ("typical", {"p": 0.2}, lambda g: g.TypicalLogitsWarper(0.2)),
    ("typical", {"p": 0.95}, lambda g: g.TypicalLogitsWarper(0.95)),
    ("epsilon", {"epsilon": 3e-3}, lambda g: g.EpsilonLogitsWarper(3e-3)),
    ("epsilon", {"epsilon": 0.9}, lambda g: g.EpsilonLogitsWarper(0.9)),
    ("eta", {"epsilon": 2e-3}, lambda g: g.EtaLogitsWarper(2e-3)),
    ("eta", {"epsilon": 0.3}, lambda g: g.EtaLogitsWarper(0.3)),
    ("top_h", {"h": 0.4}, lambda g: g.TopHLogitsWarper(0.4)),
    ("top_h", {"h": 0.9}, lambda g: g.TopHLogitsWarper(0.9)),
    ("no_repeat_ngram", {"size": 1}, lambda g: g.NoRepeatNGramLogitsProcessor(1)),
    ("no_repeat_ngram", {"size": 2}, lambda g: g.NoRepeatNGramLogitsProcessor(2)),
    ("no_repeat_ngram", {"size": 3}, lambda g: g.NoRepeatNGramLogitsProcessor(3)),
    (
        "exponential_decay_length",
        {"start": 25, "factor": 1.05},
        lambda g: g.ExponentialDecayLengthPenalty((25, 1.05), STOP, 0),
    ),
    (
        "exponential_decay_length",
        {"start": STEP, "factor": 1.05},
        lambda g: g.ExponentialDecayLengthPenalty((STEP, 1.05), STOP, 0),
    ),
    (
        "logit_bias",
        {"biases": {"3": -2.5, "30": 7.0}},
        lambda g: g.SequenceBiasLogitsProcessor([[[3], -2.5], [[30], 7.0]]),
    ),
    (
        "repetition_penalty",
        {"penalty": 0.8, "window": 0},
        lambda g: g.RepetitionPenaltyLogitsProcessor(0.8),
    ),
]


@pytest.mark.parametrize(("name", "parameters", "make"), CASES)
@pytest.mark.parametrize(("rows", "width"), [(3, 40), (20, 600)])
def test_transformers_does_the_same(
    name: str, parameters: dict[str, Any], make: Callable[[Any], Any], rows: int, width: int
) -> None:
    logits = random_logits(rows, width, rows)
    past = torch.randint(0, 8, (rows, STEP), generator=torch.Generator().manual_seed(1))
    expected = make(_processors())(past, logits.clone())
    found = run(
        logits, {"name": name, **parameters}, rows=Rows.of("ar", rows, past=past, step=STEP, stop=STOP)
    )
    assert torch.equal(found > NEVER, expected > NEVER)
    assert torch.allclose(found, expected, atol=1e-5)
