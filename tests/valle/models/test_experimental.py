"""The stock Llama of transformers on ids of the one vocabulary, and what the reference computes with it."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from transformers import LlamaForCausalLM

from valle.checkpoints import opening
from valle.errors import UserError
from valle.models.base import Inputs
from valle.models.experimental import Uniform, uniform_ids
from valle.models.layout import arrange

FOLDER = Path(__file__).parents[2] / "data" / "parity" / "e_hf_layout"
GOLDEN = load_file(FOLDER / "golden.safetensors")
IDS = GOLDEN["input_ids"].long()
PROMPT = torch.zeros(20, 8, dtype=torch.long)
PROMPT[:, 0] = IDS[14:34] - 292
ROW = Inputs(
    phonemes=IDS[:9], language=int(IDS[10]) - 264, prompt=PROMPT, response=(IDS[35:] - 8484)[:, None]
)


@pytest.fixture(scope="module")
def stock() -> Uniform:
    config = opening.load(FOLDER / "hf").details.config
    return Uniform(LlamaForCausalLM.from_pretrained(FOLDER / "hf").eval(), config)


def test_a_row_is_the_references_sequence(stock: Uniform) -> None:
    assert uniform_ids(arrange(ROW, stock.config), stock.config).tolist() == IDS.tolist()


@pytest.mark.parametrize("unified", [True, False])
def test_logits_are_the_references(stock: Uniform, unified: bool) -> None:
    model = Uniform(stock.model, replace(stock.config, unified_position_ids=unified))
    (logits,) = model.full([ROW])
    golden = GOLDEN["logits_ar_range" if unified else "logits_ar_range_split_positions"]
    assert torch.allclose(logits, golden[-13:], atol=1e-4, rtol=0)


def test_steps_are_the_references_greedy_tokens(stock: Uniform) -> None:
    model = Uniform(stock.model, replace(stock.config, unified_position_ids=True))
    begun, logits = model.begin(replace(ROW, response=None))
    made = []
    for _ in range(40):
        made.append(int(logits.argmax()))
        logits = model.advance(begun, made[-1])
    assert made == GOLDEN["greedy_ar"].tolist()


def test_a_model_of_ours_gives_the_same(stock: Uniform) -> None:
    ours = opening.load(FOLDER / "hf").model
    row = replace(ROW, task="len", digits=torch.tensor([0, 3]))
    assert torch.allclose(ours.full([row])[0], stock.full([row])[0], atol=1e-4)


def test_what_is_no_sequence_of_ids_is_refused(stock: Uniform) -> None:
    level = replace(ROW, level=3, response=torch.zeros(4, 3, dtype=torch.long))
    with pytest.raises(UserError, match="no sequence of ids"):
        Uniform(stock.model, replace(stock.config, noncausal_masks=False, audio_embedding_sums="both")).full(
            [level]
        )
    with pytest.raises(UserError, match="does not see ahead"):
        Uniform(stock.model, replace(stock.config, noncausal_masks=True)).full([level])
    assert json.loads((FOLDER / "hf" / "config.json").read_text())["vocab_size"] == stock.config.vocabulary
