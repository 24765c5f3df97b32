"""A tiny model in the reference's own format, to be changed in every way that its files come in."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from valle.models.ar_nar import ArNar
from valle.models.config import ModelConfig

SIZE = {"dim": 8, "heads": 2, "layers": 1, "audio_tokens": 20, "phoneme_tokens": 12, "text_tokens": 15}
TINY = ModelConfig(
    dim=8,
    layers=1,
    heads=2,
    ffn=32,
    audio_tokens=20,
    phoneme_tokens=12,
    audio_embedding_sums="none",
    unified_position_ids=True,
    noncausal_masks=False,
    task_tokens_counted=False,
)
CONFIG: dict[str, Any] = {
    "name": "tiny",
    "version": 5,
    "size": SIZE,
    "tasks": 9,
    "langs": 6,
    "tones": 1,
    "capabilities": ["ar", "nar", "len", "lang", "lang"],
    "experimental": {
        "audio_embedding_sums": False,
        "unified_position_ids": True,
        "noncausal_masks": False,
        "split_classifiers": True,
    },
}
SYMBOLS = {"<unk>": 0, "<bos>": 1, "</eos>": 2, "<mask>": 3, "a": 4, "b": 5, "ab": 6, "c": 7, "abc": 8}

Writer = Callable[..., Path]


def tensors_of(config: ModelConfig) -> dict[str, Tensor]:
    """Random weights of a model, its heads with biases that are not zero."""
    torch.manual_seed(3)
    model = ArNar(config)
    return {name: torch.randn_like(tensor) for name, tensor in model.state_dict().items()}


def metadata_of(config: Mapping[str, Any] | None, **more: Any) -> dict[str, Any]:
    stats = {"global_step": 700, "micro_step": 0}
    given = {"stats": stats, "config": config, "userdata": {"symmap": SYMBOLS}, **more}
    return {key: value for key, value in given.items() if value is not None}


@pytest.fixture
def write_sft(tmp_path: Path) -> Writer:
    """Write a .sft file: of `model`, with its `config` changed, `experimental` keys and `tensors` changed."""

    def write(
        model: ModelConfig = TINY,
        *,
        name: str = "model.sft",
        config: Mapping[str, Any] | None = None,
        experimental: Mapping[str, Any] | None = None,
        tensors: Mapping[str, Tensor | None] | None = None,
        dtype: torch.dtype = torch.float32,
        **more: Any,
    ) -> Path:
        document = {**CONFIG, **(config or {})}
        document["experimental"] = {**CONFIG["experimental"], **(experimental or {})}
        changed = {**tensors_of(model), **(tensors or {})}
        kept = {key: tensor.to(dtype) for key, tensor in changed.items() if tensor is not None}
        metadata = {key: json.dumps(value) for key, value in metadata_of(document, **more).items()}
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        save_file(kept, path, metadata)
        return path

    return write
