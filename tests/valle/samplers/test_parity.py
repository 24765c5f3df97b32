"""The reference's samplers on stored rows, in the cases in which it is right."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

from tests.valle.samplers.examples import run
from valle.samplers.measures import entropies
from valle.samplers.rows import Rows

STORED = Path(__file__).parents[2] / "data/parity/samplers/golden.safetensors"
TOP_P = {"name": "top_p", "rule": "llama3"}
SIGMOID = {"name": "dynamic_temperature", "form": "sigmoid", "maximum": 1.2, "minimum": 0.3}


@pytest.fixture(scope="module")
def golden() -> dict[str, Tensor]:
    stored: dict[str, Tensor] = load_file(STORED)
    return stored


CASES: list[tuple[str, str, list[dict[str, Any]]]] = [
    (f"{name}.{row}", f"{row}_logits", stages)
    for row in ("ar", "nar")
    for name, stages in {
        "topk20": [{"name": "top_k", "k": 20}],
        "topp0.9": [{**TOP_P, "p": 0.9}],
        "topk50_topp0.8": [{"name": "top_k", "k": 50}, {**TOP_P, "p": 0.8}],
        "minp0.05_keep1": [{"name": "min_p", "p": 0.05}],
        "topno1": [{"name": "top_n_sigma", "n": 1.0}],
    }.items()
] + [
    ("topno1.peaked", "peaked_logits", [{"name": "top_n_sigma", "n": 1.0}]),
    ("dyntemp1.2_0.3.ar", "ar_logits", [SIGMOID]),
    ("dyntemp1.2_0.3.nar", "nar_logits", [SIGMOID]),
    ("dyntemp1.2_0.3.peaked", "peaked_logits", [SIGMOID]),
    ("sample.greedy.logits", "ar_logits", [{"name": "top_n_sigma", "n": 1.0}]),
    (
        "sample.t0.8_topno_default.logits",
        "ar_logits",
        [{"name": "temperature", "value": 0.8}, {"name": "top_n_sigma", "n": 1.0}],
    ),
    ("sample.t1.2_min0.3.logits", "ar_logits", [SIGMOID]),
    ("sample.t0.8_topno0.logits", "ar_logits", [{"name": "temperature", "value": 0.8}]),
    (
        "sample.topk50_topp0.9_t0.9.logits",
        "ar_logits",
        [{"name": "top_k", "k": 50}, {**TOP_P, "p": 0.9}, {"name": "temperature", "value": 0.9}],
    ),
]  # fmt: skip


@pytest.mark.parametrize(("name", "row", "stages"), CASES, ids=[name for name, *_ in CASES])
def test_the_reference_gives_the_same(
    golden: dict[str, Tensor], name: str, row: str, stages: list[dict[str, Any]]
) -> None:
    assert torch.allclose(run(golden[row], *stages), golden[name], rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("factor", [0.5, -0.5])
def test_the_reference_penalises_the_length_the_same_where_stop_is_positive(
    golden: dict[str, Tensor], factor: float
) -> None:
    rows = Rows.of("ar", step=50, stop=1024)
    final = run(golden["ar_logits"], {"name": "length_penalty", "penalty": factor}, rows=rows)
    assert torch.allclose(final, golden[f"lenpen.{factor}"], rtol=1e-5)


@pytest.mark.parametrize(("name", "count"), [("f1.25_once_list", "id"), ("f1.25", "occurrence")])
def test_the_reference_penalises_repetition_the_same_where_logits_are_positive(
    golden: dict[str, Tensor], name: str, count: str
) -> None:
    stage = {"name": "repetition_penalty", "penalty": 1.25, "window": 0, "count": count}
    logits, past = golden["ar_logits"], golden["prev"].long()
    final, expected = run(logits, stage, rows=Rows.of("ar", past=past)), golden[f"reppen.ar.{name}"]
    positive = logits > 0
    assert torch.allclose(final[positive], expected[positive], atol=1e-5)
    assert int((expected != logits)[positive].sum()) > 10
    assert (final[~positive] <= logits[~positive]).all()


@pytest.mark.parametrize(
    ("row", "entropy", "varentropy"),
    [("ar_logits", 6.279792, 6.375498), ("peaked_logits", 8.707673e-08, 3.051017e-06)],
)
def test_the_reference_measures_the_same(
    golden: dict[str, Tensor], row: str, entropy: float, varentropy: float
) -> None:
    """In bits, of rows without banned ids."""
    found = entropies(golden[row])
    assert float(found["entropy"]) == pytest.approx(entropy, rel=1e-5)
    assert float(found["varentropy"]) == pytest.approx(varentropy, rel=1e-5)
