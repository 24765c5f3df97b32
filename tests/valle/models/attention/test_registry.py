"""What can be used where, and what is said where it cannot."""

from __future__ import annotations

import pytest
import torch

from valle.errors import UserError
from valle.inference import Engine
from valle.models.arch.attention import BACKENDS, availability, find, resolve
from valle.models.arch.attention.kernel import Kernel

NAMES = (
    *("eager", "default", "sdpa", "math", "flash", "mem_efficient", "cudnn", "flex"),
    *("flash_attention_2", "flash_attn", "flash_attn_v100", "xformers", "fused"),
)


def test_every_backend_is_there_and_says_why_it_cannot_be_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TRITON_INTERPRET", raising=False)
    found = {each.backend.name: each.problem for each in availability("cpu", "float32")}
    assert list(found) == sorted(NAMES, key=list(BACKENDS).index) and len(found) == len(NAMES)
    usable = [name for name, problem in found.items() if problem is None]
    assert usable == ["eager", "default", "sdpa", "math", "flash", "flex"]
    assert found["cudnn"] == "it runs on cuda, not on cpu; use sdpa there"
    assert found["xformers"] == (
        "the package xformers is not installed; install xformers in the version that fits this torch"
    )
    assert all("install" in str(found[name]) or "build" in str(found[name]) for name in NAMES[8:12])


def test_names_aliases_and_auto() -> None:
    assert resolve("auto") == resolve("auto", "cuda", "float16") == "sdpa"
    assert resolve("eager") == "eager"
    assert find("auto") is find("sdpa")
    assert find("fused_attn") is find("fused")
    with pytest.raises(UserError, match=r"unknown attention backend 'sdpaa'; .*did you mean sdpa\?"):
        resolve("sdpaa")
    with pytest.raises(UserError, match="xformers cannot be used here: the package xformers is not"):
        resolve("xformers")
    with pytest.raises(UserError, match="unknown attention backend"):
        Kernel("none")


@pytest.mark.parametrize(
    ("name", "capability", "said"),
    [
        ("cudnn", (7, 5), "not made for a card"),
        ("cudnn", (9, 0), None),
        ("flash", (7, 5), "not made for a card"),
        ("flash", (8, 0), None),
        ("fused", (7, 0), None),
        ("fused", (6, 1), r"not made for a card \(compute capability 6.1\); use sdpa"),
    ],
)
def test_older_cards(
    monkeypatch: pytest.MonkeyPatch, name: str, capability: tuple[int, int], said: str | None
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda _: capability)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda _: "a card")
    problem = BACKENDS[name].problem("cuda:0", "bfloat16")
    assert (problem is None) == (said is None)
    if said is not None:
        with pytest.raises(UserError, match=said):
            resolve(name, "cuda:0", "bfloat16")
    for half in ("cudnn", "flash"):
        with pytest.raises(UserError, match="computes in float16 or bfloat16, not in float32"):
            resolve(half, "cuda:0", "float32")


def test_an_old_version_of_a_package_and_an_old_card(monkeypatch: pytest.MonkeyPatch) -> None:
    """flash-attn 1 has no version 2 interface, and the Turing cards that it is for no bfloat16."""
    monkeypatch.setattr("valle.models.arch.attention.registry.find_spec", lambda name: object())
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda _: (8, 0))
    for version, usable in (("1.0.9", False), ("2.0.4", False), ("2.1.0", True), ("2.10.1", True)):
        monkeypatch.setattr("importlib.metadata.version", lambda name, found=version: found)
        assert (resolve("auto", "cuda", "float16") == "flash_attention_2") == usable
        problem = BACKENDS["flash_attention_2"].problem("cuda", "float16")
        assert usable == (problem is None)
        assert usable or f'flash_attn is {version}; install "flash-attn>=2.1"' in str(problem)
        assert BACKENDS["flash_attn"].problem("cuda", "float16") is None
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda _: (7, 5))
    assert BACKENDS["flash_attn"].problem("cuda", "float16") is None
    assert BACKENDS["flash_attn"].problem("cuda", "bfloat16") == (
        "the card is too old for bfloat16; choose --dtype float16"
    )


def test_amd_cards_have_what_is_made_for_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.version, "hip", "6.4")
    assert BACKENDS["fused"].problem("cuda", "bfloat16") is None
    assert BACKENDS["cudnn"].problem("cuda", "bfloat16") == "it is not made for AMD cards; use sdpa"


def test_the_engine_computes_by_what_it_was_asked_for() -> None:
    engine = Engine.load(attention="eager")
    names = {module.name for module in engine.model.modules() if isinstance(module, Kernel)}
    assert names == {"eager"} and engine.recipe.attention == "eager"
    engine.close()
    with pytest.raises(UserError, match="cudnn cannot be used here: it runs on cuda"):
        Engine.load(attention="cudnn")
