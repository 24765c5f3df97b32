"""The reference's own numbers: embeddings, positions, logits and greedy tokens of a file of its."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

from valle.checkpoints import opening
from valle.models.ar_nar import ArNar
from valle.models.base import Inputs

FOLDER = Path(__file__).parents[2] / "data" / "parity" / "a_released"
GIVEN = json.loads((FOLDER / "inputs.json").read_text())
INPUTS = {name: torch.tensor(value) for name, value in GIVEN["inputs"].items()}
SPOKEN = Inputs(phonemes=INPUTS["PHN"], language=0, prompt=INPUTS["PROM"])


def row(**changes: object) -> Inputs:
    given = {"phonemes": INPUTS["PHN"], "language": 0, "prompt": INPUTS["PROM"], "response": INPUTS["RESP"]}
    return Inputs(**{**given, **changes})  # type: ignore[arg-type]


NULL = {"phonemes": torch.tensor([1, 2]), "prompt": None}
MASKED = INPUTS["MASKED"][:, None]
CASES = {
    "ar": row(),
    "ar_start": row(response=None),
    "ar_null": row(**NULL),
    "ar_noprom": row(prompt=None),
    "ar_nolang": row(language=None),
    "ar_ns": row(task="ns", prompt=["ns", INPUTS["PROM"]]),
    "ar_2proms": row(prompt=[INPUTS["PROM"], INPUTS["PROM2"]]),
    **{f"nar_l{level}": row(level=level, response=INPUTS["RESP"][:, :level]) for level in (1, 2, 4, 7)},
    "narlen_masked": row(response=MASKED, masked=True),
    "narlen_null": row(response=MASKED, masked=True, **NULL),
    "len_start": row(task="len", digits=torch.tensor([0])),
    "len_3": row(task="len", digits=torch.tensor([0, 1, 2])),
    "stt": row(task="stt"),
    "stt_start": row(task="stt", phonemes=torch.tensor([1])),
}


@pytest.fixture(scope="module")
def model() -> ArNar:
    return opening.load(FOLDER / "model.sft").model


@pytest.fixture(scope="module")
def golden() -> dict[str, Tensor]:
    return load_file(FOLDER / "golden.safetensors")


def greedy(model: ArNar, start: Inputs, steps: int) -> list[int]:
    cache, logits = model.begin([start], steps)
    made = []
    for _ in range(steps):
        made.append(int(logits.argmax()))
        logits = model.advance(cache, torch.tensor(made[-1:]))
    return made


def distance(ours: Sequence[Tensor], theirs: Sequence[Tensor]) -> float:
    return max(float((one - other).abs().max()) for one, other in zip(ours, theirs, strict=True))


@pytest.mark.parametrize("name", CASES)
def test_one_pass(name: str, model: ArNar, golden: dict[str, Tensor]) -> None:
    layout = model.layouts([CASES[name]])[0]
    assert layout.positions.tolist() == golden[f"{name}.positions"].tolist()
    assert torch.equal(model.pack([layout]).embeddings[0], golden[f"{name}.embeds"])
    logits = model.full([CASES[name]])[0]
    assert logits.dtype == torch.float32
    assert distance([logits], [golden[f"{name}.logits"]]) < 1e-4


def test_all_cases_in_one_batch(model: ArNar, golden: dict[str, Tensor]) -> None:
    logits = model.full(list(CASES.values()))
    assert distance(logits, [golden[f"{name}.logits"] for name in CASES]) < 1e-4


def test_greedy_speech_with_the_cache(model: ArNar, golden: dict[str, Tensor]) -> None:
    first = greedy(model, SPOKEN, 40)
    assert first == golden["greedy_ar"].tolist()
    codes = torch.tensor(first)[:, None]
    for level in range(1, 8):
        codes = torch.cat([codes, model.full([row(level=level, response=codes)])[0].argmax(-1, True)], 1)
    assert torch.equal(codes, golden["greedy_nar"].long())


def test_greedy_transcription_with_the_cache(model: ArNar, golden: dict[str, Tensor]) -> None:
    start = row(task="stt", phonemes=torch.tensor([1]))
    assert greedy(model, start, 40) == golden["stt_greedy"].tolist()


def test_greedy_length_with_the_cache(model: ArNar) -> None:
    digits = greedy(model, row(task="len", digits=torch.tensor([0])), 10)
    assert int("".join(map(str, digits))) == GIVEN["greedy_len"]


@pytest.mark.parametrize(("name", "level"), [("batch_ar", 0), ("batch_nar3", 3)])
def test_padded_batch(name: str, level: int, model: ArNar, golden: dict[str, Tensor]) -> None:
    other = Inputs(
        phonemes=INPUTS["PHN2"], language=2, prompt=INPUTS["PROM2"], response=INPUTS["RESP2"], level=level
    )
    logits = model.full([row(level=level), other])
    theirs = [golden[f"{name}.{index}.logits_tail"] for index in range(2)]
    assert distance([ours[-len(tail) :] for ours, tail in zip(logits, theirs, strict=True)], theirs) < 1e-4


def test_observer_sees_the_scores(model: ArNar, golden: dict[str, Tensor]) -> None:
    scores: dict[int, Tensor] = {}

    class LastRow:
        def attention(self, layer: int, query: Tensor, key: Tensor) -> None:
            scores[layer] = (query[0, :, -1:] @ key[0].transpose(1, 2))[:, 0] * query.shape[-1] ** -0.5

    model.full([CASES["ar"]], LastRow())
    ours = torch.stack([scores[layer] for layer in range(3)])
    assert distance([ours], [golden["ar.attn_scores_last_row"]]) < 1e-4
