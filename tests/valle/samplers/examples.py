"""Parameters of every stage to test it with, and rows and logits for that."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from valle.samplers import Stack
from valle.samplers.rows import Rows
from valle.samplers.sampler import Sampler

NEVER = float("-inf")
GOLDEN = [2.0, 1.0, 0.0, -1.0, -2.0]
"""Logits whose golden values are known for most stages."""

EXAMPLES: dict[str, list[dict[str, Any]]] = {
    "allowed_range": [{"first": 2, "last": 9, "also": [0]}],
    "ban_tokens": [{"ids": [1, 3]}],
    "dry": [
        {"allowed_length": 1},
        {"multiplier": 2.0, "base": 1.2, "range": 9},
        {"allowed_length": 1, "breakers": [1]},
    ],
    "dynamic_temperature": [
        {},
        {"minimum": 0.0, "maximum": 2.0, "exponent": 2.0},
        {"form": "sigmoid", "minimum": 0.3, "maximum": 1.2},
    ],
    "epsilon": [{"epsilon": 0.01}, {"epsilon": 0.9}],
    "eta": [{"epsilon": 0.02}, {"epsilon": 0.9}],
    "exponential_decay_length": [{"start": 2, "factor": 1.2}, {"start": 0, "factor": 0.7}],
    "frequency_penalty": [{"penalty": 0.5}, {"penalty": -0.3, "window": 3}],
    "length_penalty": [{"penalty": 0.4}, {"penalty": -0.7}, {"penalty": 0.4, "ids": [0, 2]}],
    "logit_bias": [{"biases": {"1": 2.5, "4": -1.0, "9000": 1.0}}],
    "min_p": [{"p": 0.2}],
    "minimum_length": [{"steps": 4}],
    "no_repeat_ngram": [{"size": 2}, {"size": 3, "window": 9}],
    "p_less": [{}],
    "presence_penalty": [{"penalty": 0.5}, {"penalty": -0.3, "window": 3}],
    "quadratic_smoothing": [{"factor": 0.4}, {"factor": 2.0, "curve": 2.0}],
    "repetition_penalty": [
        {"penalty": 1.4},
        {"penalty": 0.7, "decay": 0.5, "window": 3},
        {"count": "occurrence", "penalty": 1.2},
        {"normalize": True},
    ],
    "silence_penalty": [{"ids": [0, 1], "allowed": 1}, {"ids": [0, 1], "allowed": 0, "run": "any"}],
    "stop_gate": [{}, {"argmax": False, "probability": 0.3}],
    "tail_free": [{"z": 0.5}, {"z": 0.95}],
    "temperature": [{"value": 0.0}, {"value": 0.6}, {"value": 1.9}],
    "top_a": [{"a": 0.3}, {"a": 1.0}],
    "top_h": [{"h": 0.4}, {"h": 0.7, "candidates": 5}],
    "top_k": [{"k": 1}, {"k": 5}],
    "top_n_sigma": [{"n": 1.0}, {"n": 0.1}],
    "top_p": [{"p": 0.7}, {"p": 0.7, "rule": "llama3"}, {"p": 0.7, "rule": "below"}],
    "typical": [{"p": 0.6}, {"p": 0.1}],
    "unified": [{}, {"linear": 0.8, "confidence": -0.1, "quadratic": 0.2}],
    "xtc": [{"probability": 1.0, "threshold": 0.02}, {"probability": 0.5, "threshold": 0.02}],
}
"""For each stage the parameters that it is tested with; the others have their defaults."""


def run(logits: Tensor, *stages: dict[str, Any], rows: Rows | None = None, phase: str = "ar") -> Tensor:
    """The final logits of a stack of these stages."""
    stack = Stack.from_dict({phase: [*stages, {"name": "greedy"}]})
    return Sampler(stack, phase).final(logits, rows or Rows.of(phase, len(logits)))


def kept(logits: list[float], *stages: dict[str, Any], rows: Rows | None = None) -> list[int]:
    """Which ids of one row a stack of these stages leaves."""
    return (run(torch.tensor([logits]), *stages, rows=rows)[0] > NEVER).nonzero()[:, 0].tolist()


def shares(probabilities: list[float], *stages: dict[str, Any], rows: Rows | None = None) -> list[float]:
    """What probabilities become."""
    logits = torch.tensor([probabilities]).log()
    return run(logits, *stages, rows=rows).softmax(-1)[0].tolist()


def random_logits(rows: int, width: int, seed: int = 0) -> Tensor:
    """Normal logits of deviation 3, [rows, width]."""
    return torch.randn(rows, width, generator=torch.Generator().manual_seed(seed)) * 3


def spaced_logits(rows: int, width: int, seed: int) -> Tensor:
    """Logits whose gaps exceed what floats can blur, in random order, [rows, width]."""
    generator = torch.Generator().manual_seed(seed)
    order = torch.stack([torch.randperm(width, generator=generator) for _ in range(rows)]).float()
    gap = 0.05 + 0.4 * torch.rand(rows, 1, generator=generator)
    return (order - 0.6 * width) * gap + torch.rand(rows, 1, generator=generator)


def known_rows(rows: int, width: int, seed: int) -> Rows:
    """Rows of ``ar`` at different steps, with pasts of different lengths in which ids come again."""
    generator = torch.Generator().manual_seed(seed)
    past = torch.randint(0, min(width, 3), (rows, 14), generator=generator)
    length = torch.randint(0, 15, (rows,), generator=generator)
    return Rows.of(
        "ar", rows, seed=seed, step=np.arange(rows) * 3, past=past, past_length=length, stop=width - 1
    )


def one_of(rows: Rows, row: int) -> Rows:
    """One row of these rows."""
    assert rows.past is not None and rows.past_length is not None
    return Rows.of(
        rows.phase,
        seed=int(rows.seed[row]),
        step=int(rows.step[row]),
        past=rows.past[row : row + 1],
        past_length=rows.past_length[row : row + 1],
        stop=rows.stop,
    )
