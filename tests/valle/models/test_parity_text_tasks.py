"""The reference's own numbers for a file of version 6: text tasks, sums of the response's levels alone."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

from valle.checkpoints import opening
from valle.models.ar_nar import ArNar
from valle.models.base import Inputs

FOLDER = Path(__file__).parents[2] / "data" / "parity" / "f_v6_text_tasks"
GIVEN = json.loads((FOLDER / "inputs.json").read_text())
INPUTS = {name: torch.tensor(value) for name, value in GIVEN["inputs"].items()}


def row(**changes: object) -> Inputs:
    given = {"phonemes": INPUTS["PHN"], "language": 0, "prompt": INPUTS["PROM"], "response": INPUTS["RESP"]}
    return Inputs(**{**given, **changes})  # type: ignore[arg-type]


CASES = {
    "ar": row(),
    "ar_start": row(response=None),
    "ar_ns": row(task="ns", prompt=["ns", INPUTS["PROM"]]),
    "nar_l1": row(level=1, response=INPUTS["RESP"][:, :1]),
    "nar_l7": row(level=7, response=INPUTS["RESP"][:, :7]),
    "narlen_masked": row(response=INPUTS["MASKED"][:, None], masked=True),
    "len_3": row(task="len", digits=torch.tensor([0, 1, 2])),
    "stt": row(task="stt"),
    "stt_start": row(task="stt", phonemes=torch.tensor([1])),
    "phn_task_fixed_head": row(task="phn", text=INPUTS["TEXT"]),
    "unphn_task": row(task="un-phn", text=INPUTS["TEXT"]),
    "ar_text": row(phonemes=None, text=INPUTS["TEXT"]),
}


@pytest.fixture(scope="module")
def model() -> ArNar:
    return opening.load(FOLDER / "model.sft").model


@pytest.fixture(scope="module")
def golden() -> dict[str, Tensor]:
    return load_file(FOLDER / "golden.safetensors")


@pytest.mark.parametrize("name", CASES)
def test_one_pass(name: str, model: ArNar, golden: dict[str, Tensor]) -> None:
    assert model.layouts([CASES[name]])[0].positions.tolist() == golden[f"{name}.positions"].tolist()
    (logits,) = model.full([CASES[name]])
    assert torch.allclose(logits, golden[f"{name}.logits"], atol=1e-4, rtol=0)


def test_all_cases_in_one_batch(model: ArNar, golden: dict[str, Tensor]) -> None:
    for name, logits in zip(CASES, model.full(list(CASES.values())), strict=True):
        assert torch.allclose(logits, golden[f"{name}.logits"], atol=1e-4, rtol=0)


@pytest.mark.parametrize(
    ("start", "name"),
    [(row(response=None), "greedy_ar"), (row(task="stt", phonemes=torch.tensor([1])), "stt_greedy")],
)
def test_greedy_ids_with_the_cache(start: Inputs, name: str, model: ArNar, golden: dict[str, Tensor]) -> None:
    wanted = golden[name].tolist()
    cache, logits = model.begin([start], len(wanted))
    for index, token in enumerate(wanted):
        assert int(logits.argmax()) == token, index
        logits = model.advance(cache, torch.tensor([token]))
