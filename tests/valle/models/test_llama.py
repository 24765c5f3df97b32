"""The llama body against transformers' own, and its parts against their formulas."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from valle.errors import UserError
from valle.models.arch import build
from valle.models.arch.attention import Mask, find
from valle.models.arch.llama import Llama, RMSNorm
from valle.models.arch.rotary import Rotary
from valle.models.config import ModelConfig

CONFIG = ModelConfig(dim=32, layers=3, heads=4, ffn=48)


def test_equals_transformers_llama() -> None:
    from transformers import LlamaConfig, LlamaModel

    torch.manual_seed(0)
    ours = Llama(CONFIG)
    for parameter in ours.parameters():
        nn.init.normal_(parameter, 0.0, 0.2)
    theirs = LlamaModel(
        LlamaConfig(
            vocab_size=4,
            hidden_size=32,
            intermediate_size=48,
            num_hidden_layers=3,
            num_attention_heads=4,
            hidden_act="gelu",
            rms_norm_eps=1e-6,
        )
    )
    missing, unexpected = theirs.load_state_dict(ours.state_dict(), strict=False)
    assert (missing, unexpected) == (["embed_tokens.weight"], [])
    hidden = torch.randn(2, 9, 32)
    whole = torch.ones(2, 9)  # else transformers takes restarting positions for several sequences
    positions = torch.tensor([[0, 1, 2, 0, 1, 2, 3, 4, 5], [*range(9)]])
    with torch.inference_mode():
        answer = theirs(inputs_embeds=hidden, position_ids=positions, attention_mask=whole).last_hidden_state
        assert torch.allclose(ours(hidden, positions, 9, Mask(causal=True)), answer, atol=1e-4)


def test_rms_norm_formula() -> None:
    norm = RMSNorm(3)
    with torch.no_grad():
        norm.weight.copy_(torch.tensor([1.0, 2.0, 3.0]))
    scale = (14 / 3 + 1e-6) ** -0.5
    assert norm(torch.tensor([1.0, 2.0, -3.0])).tolist() == pytest.approx([scale, 4 * scale, -9 * scale])


def test_rotation_turns_pairs_half_a_head_apart() -> None:
    heads = torch.tensor([1.0, 0.0, 0.0, 2.0]).view(1, 1, 1, 4)
    turned = Rotary(4).at(torch.tensor([[3]]), 4).apply(heads).flatten()
    fast, slow = torch.tensor(3.0), torch.tensor(3.0 / 100)
    expected = [fast.cos(), -2 * slow.sin(), fast.sin(), 2 * slow.cos()]
    assert turned.tolist() == pytest.approx([float(value) for value in expected], abs=1e-6)


def test_rotation_depends_on_distance_only_and_tables_grow() -> None:
    rotary = Rotary(8)
    query, key = torch.randn(2, 1, 1, 1, 8).unbind(0)

    def score(at: int, other: int) -> float:
        one = rotary.at(torch.tensor([[at]]), at + 1).apply(query)
        two = rotary.at(torch.tensor([[other]]), other + 1).apply(key)
        return float((one * two).sum())

    assert score(5, 2) == pytest.approx(score(4003, 4000), abs=1e-3)


@pytest.mark.parametrize("name", ["eager", "math", "sdpa"])
@pytest.mark.parametrize("causal", [True, False])
@pytest.mark.parametrize("before", [0, 3])
def test_attention_formula(name: str, causal: bool, before: int) -> None:
    torch.manual_seed(0)
    query, key, value = torch.randn(3, 1, 2, 5, 4).unbind(0)
    query = query[:, :, before:]
    found = find(name)(query, key, value, Mask(causal=causal))
    for head in range(2):
        for row in range(5 - before):
            seen = before + row + 1 if causal else 5
            weights = torch.softmax(key[0, head, :seen] @ query[0, head, row] / 2, 0)
            assert torch.allclose(found[0, head, row], weights @ value[0, head, :seen], atol=1e-5)


def test_names() -> None:
    with pytest.raises(UserError, match="did you mean sdpa"):
        find("sdpaa")
    with pytest.raises(UserError, match="unknown architecture 'lama'; there is llama"):
        build(ModelConfig(dim=8, layers=1, heads=2, ffn=8, architecture="lama"))
