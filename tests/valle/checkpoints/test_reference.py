"""The reader of the reference's `.sft` files; their numbers are checked in tests/valle/models."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from valle.checkpoints import opening
from valle.errors import UserError

FILE = Path(__file__).parents[2] / "data" / "parity" / "a_released" / "model.sft"


def test_details() -> None:
    details = opening.describe(FILE).details
    config = details.config
    assert (config.dim, config.heads, config.layers, config.ffn) == (32, 4, 3, 128)
    assert (config.version, config.languages, config.tasks, config.tones) == (5, 6, 9, 1)
    assert config.capabilities == ("ar", "nar", "len", "lang")
    assert config.split_classifiers and config.classifiers_bias and config.noncausal_masks
    assert config.audio_embedding_sums == "both"
    assert not config.unified_position_ids and not config.task_tokens_counted
    assert config.text_tokens == 0
    assert list(details.languages) == ["en", "ja", "de", "fr", "zh", "ko"]
    assert len(details.symbols) == 281
    assert details.symbols["<bos>"] == 1
    assert details.codec.name == "encodec"


def test_loads_float16_and_bfloat16(tmp_path: Path) -> None:
    loaded = opening.load(FILE)
    metadata = {
        "config": json.dumps(
            {"size": {"dim": 32, "heads": 4, "layers": 3}, "capabilities": ["ar", "nar", "len"]}
        )
    }
    for dtype in (torch.float16, torch.bfloat16):
        path = tmp_path / f"{dtype}.sft"
        narrow = {name: tensor.to(dtype) for name, tensor in loaded.model.state_dict().items()}
        save_file(narrow, path, metadata)
        again = opening.load(path)
        assert all(parameter.dtype == torch.float32 for parameter in again.model.parameters())
        assert torch.allclose(again.model.sep, loaded.model.sep, rtol=0.01)
        assert again.hash != loaded.hash


@pytest.mark.parametrize(
    ("config", "words"),
    [
        (None, "neither a configuration nor the tensors"),
        ("{", "damaged"),
        ('{"size": "huge"}', "huge"),
        ('{"size": {"dim": 32}}', r"size\.heads"),
        ('{"size": "full", "experimental": {"causal_size": 3}}', "causal_size 3"),
        ('{"size": "full", "experimental": {"audio_embedding_sums": "some"}}', "some"),
    ],
)
def test_configurations_that_cannot_be_used(tmp_path: Path, config: str | None, words: str) -> None:
    path = tmp_path / "model.sft"
    save_file({"a": torch.zeros(1)}, path, {} if config is None else {"config": config})
    with pytest.raises(UserError, match=words) as caught:
        opening.describe(path)
    assert str(path) in str(caught.value)


def test_sizes_by_name(tmp_path: Path) -> None:
    path = tmp_path / "model.sft"
    save_file({"a": torch.zeros(1)}, path, {"config": '{"size": "full", "langs": 4}'})
    config = opening.describe(path).details.config
    assert (config.dim, config.heads, config.layers, config.ffn) == (1024, 16, 12, 4096)
    assert list(opening.describe(path).details.languages) == ["en", "ja", "de", "fr"]
