"""How many threads compute where nobody says."""

from __future__ import annotations

import pytest
import torch

from valle import inference
from valle.inference import Engine


def test_a_small_model_gets_one_thread_and_others_what_torch_takes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch, "get_num_threads", lambda: 3)
    assert Engine.load(device="cpu").recipe.threads == 1
    assert Engine.load(device="cpu", threads=2).recipe.threads == 2
    monkeypatch.setattr(inference, "SMALL_MODEL", 0)
    assert Engine.load(device="cpu").recipe.threads == 3
