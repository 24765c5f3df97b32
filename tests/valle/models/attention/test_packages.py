"""Adapters of packages and kernels that cannot run here, against stand-ins that take the same arguments."""

from __future__ import annotations

import pytest
import torch

from tests.valle.models.attention.cases import QUERIES, SHAPES, case, difference
from tests.valle.models.attention.stand_ins import NAMES, install
from valle.errors import UserError
from valle.models.arch.attention import BACKENDS, Mask, resolve


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("name", NAMES)
def test_an_adapter_agrees_with_math(monkeypatch: pytest.MonkeyPatch, name: str, shape: str) -> None:
    install(monkeypatch, name)
    for queries in QUERIES:
        assert max(difference(name, case(shape, queries), BACKENDS[name].load())) < 2e-6


def test_flash_attn_takes_version_2_where_that_is_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    install(monkeypatch, "flash_attention_2")
    assert max(difference("flash_attn", case("padded", 3))) < 2e-6


def test_volta_refuses_heads_that_are_too_wide() -> None:
    with pytest.raises(UserError, match="narrower than 128"):
        BACKENDS["flash_attn_v100"].load()(*case("full", 3, width=128).tensors(), Mask())


def test_auto_takes_flash_attention_where_it_can_be_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("valle.models.arch.attention.registry.find_spec", lambda name: object())
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda _: (8, 6))
    assert resolve("auto", "cuda", "bfloat16") == "flash_attention_2"
    assert resolve("auto", "cuda", "float32") == resolve("auto", "cpu", "float32") == "sdpa"
