"""The native file: what goes in comes out, its hash means its tensors, and damage is named."""

from __future__ import annotations

import json
import struct
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file

from valle.checkpoints import native
from valle.checkpoints.container import content_hash, read_header
from valle.checkpoints.details import CodecName, Details
from valle.errors import UserError
from valle.models.ar_nar import ArNar
from valle.models.base import Inputs
from valle.models.config import ModelConfig

CONFIG = ModelConfig(dim=8, layers=1, heads=2, ffn=12, audio_tokens=20, phoneme_tokens=12)
DETAILS = Details(
    config=CONFIG,
    codec=CodecName("builtin-1", "ab" * 32),
    symbols={"<bos>": 1, "ˈ": 4, "ə": 5},
    languages={"en": 0, "de": 1},
    default_stacks={
        "ar": [{"name": "temperature", "value": 0.4}, {"name": "draw"}],
        "nar": [{"name": "greedy"}],
    },
    steps=1200,
    notes='said "so"',
)
ROW = Inputs(phonemes=torch.tensor([1, 4, 2]), language=0, response=torch.zeros(3, 8, dtype=torch.long))


@pytest.fixture(scope="module")
def model() -> ArNar:
    torch.manual_seed(0)
    return ArNar(CONFIG)


@pytest.fixture
def saved(tmp_path: Path, model: ArNar) -> Path:
    path = tmp_path / "model.safetensors"
    native.save(path, model, DETAILS)
    return path


def rewrite(path: Path, change: dict[str, object]) -> None:
    """Write a file again with other metadata."""
    metadata = read_header(path).metadata
    (key,) = metadata
    document = {**json.loads(metadata[key]), **change}
    save_file(load_file(path), path, {key: json.dumps(document)})


def test_round_trip(saved: Path, model: ArNar) -> None:
    loaded = native.load(saved)
    assert loaded.details == DETAILS == native.read_details(saved)
    for name, tensor in loaded.model.state_dict().items():
        assert tensor.dtype == torch.float32
        assert torch.equal(tensor, model.state_dict()[name].half().float())
    again = saved.with_name("again.safetensors")
    assert native.save(again, loaded.model, DETAILS) == loaded.hash
    assert again.read_bytes() == saved.read_bytes()
    assert [path.name for path in sorted(saved.parent.iterdir())] == [
        "again.safetensors",
        "model.safetensors",
    ]


def test_float32_is_kept_bit_for_bit(tmp_path: Path, model: ArNar) -> None:
    native.save(tmp_path / "wide", model, DETAILS, torch.float32)
    loaded = native.load(tmp_path / "wide")
    assert torch.equal(loaded.model.full([ROW])[0], model.full([ROW])[0])


def test_bfloat16_keeps_the_heads_in_float32(saved: Path) -> None:
    loaded = native.load(saved, dtype=torch.bfloat16).model
    dtypes = {name: parameter.dtype for name, parameter in loaded.named_parameters()}
    assert dtypes.pop("classifiers.proj.0.weight") == torch.float32
    assert dtypes["model.layers.0.mlp.up_proj.weight"] == torch.bfloat16
    exact = native.load(saved).model.full([ROW])[0]
    assert torch.allclose(loaded.full([ROW])[0], exact, atol=0.05)


def test_hash_is_of_the_tensors_alone(saved: Path, tmp_path: Path, model: ArNar) -> None:
    first = content_hash(saved, read_header(saved))
    reversed_order = dict(reversed(load_file(saved).items()))
    save_file(reversed_order, tmp_path / "other", {"b": "1", "a": "2"})
    assert content_hash(tmp_path / "other", read_header(tmp_path / "other")) == first

    tensors = load_file(saved)
    tensors["sep"][3] += 1
    save_file(tensors, tmp_path / "changed")
    assert content_hash(tmp_path / "changed", read_header(tmp_path / "changed")) != first

    renamed = load_file(saved)
    renamed["sep"], renamed["dropout_token"] = renamed["dropout_token"], renamed["sep"]
    save_file(renamed, tmp_path / "renamed")
    assert content_hash(tmp_path / "renamed", read_header(tmp_path / "renamed")) != first


def test_reading_details_needs_no_torch(saved: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from valle.checkpoints import native;"
        "print(native.read_details(Path(sys.argv[1])).steps, 'torch' in sys.modules)"
    )
    result = subprocess.run(
        [sys.executable, "-c", code, str(saved)], capture_output=True, text=True, check=True
    )
    assert result.stdout.split() == ["1200", "False"]


def test_missing_tensor(saved: Path) -> None:
    metadata, tensors = read_header(saved).metadata, load_file(saved)
    del tensors["model.norm.weight"]
    save_file(tensors, saved, metadata)
    with pytest.raises(UserError, match=r"model\.norm\.weight is missing; the config asks for \[8\]"):
        native.load(saved)


def test_mis_sized_tensor(saved: Path) -> None:
    metadata, tensors = read_header(saved).metadata, load_file(saved)
    tensors["text_emb.weight"] = torch.zeros(13, 8)
    save_file(tensors, saved, metadata)
    with pytest.raises(UserError, match=r"text_emb\.weight is \[13, 8\], the config asks for \[12, 8\]"):
        native.load(saved)


def test_unknown_tensor(saved: Path) -> None:
    metadata, tensors = read_header(saved).metadata, load_file(saved)
    save_file({**tensors, "extra": torch.zeros(2)}, saved, metadata)
    with pytest.raises(UserError, match=r"extra \[2\] belongs to no part"):
        native.load(saved)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"version": 2}, "version 2"),
        ({"version": "1"}, "version 1"),
        ({"steps": "many"}, "steps"),
        ({"codec": {"name": 3}}, r"codec\.name"),
        ({"languages": {"en": "0"}}, r"languages\.en"),
        ({"config": {"dim": 8, "layers": 1, "heads": 3, "ffn": 12}}, "heads"),
        ({"config": {"dim": 8, "layers": 10**12, "heads": 2, "ffn": 12}}, "layers"),
        ({"config": {"layers": 1, "heads": 2, "ffn": 12}}, r"config\.dim"),
        ({"config": []}, "config"),
    ],
)
def test_metadata_that_cannot_be_used(saved: Path, change: dict[str, object], words: str) -> None:
    rewrite(saved, change)
    for reader in (native.read_details, native.load):
        with pytest.raises(UserError, match=words) as caught:
            reader(saved)
        assert str(saved) in str(caught.value)
        assert "\n" not in str(caught.value)


def test_other_safetensors_file(tmp_path: Path) -> None:
    save_file({"a": torch.zeros(2)}, tmp_path / "a", {"config": "{}"})
    with pytest.raises(UserError, match="not a model file"):
        native.load(tmp_path / "a")


@pytest.mark.parametrize("keep", [0, 7, 100, 3000, -1])
def test_truncated_file(saved: Path, keep: int) -> None:
    saved.write_bytes(saved.read_bytes()[:keep])
    for reader in (native.read_details, native.load):
        with pytest.raises(UserError, match="cut short") as caught:
            reader(saved)
        assert str(saved) in str(caught.value)


def test_missing_file_and_folder(tmp_path: Path, model: ArNar) -> None:
    with pytest.raises(UserError, match="absent"):
        native.load(tmp_path / "absent")
    with pytest.raises(UserError, match="cannot be read"):
        native.load(tmp_path)
    with pytest.raises(UserError, match="cannot be written"):
        (tmp_path / "file").write_text("")
        native.save(tmp_path / "file" / "model", model, DETAILS)


def test_weights_that_float16_cannot_hold(tmp_path: Path) -> None:
    model = ArNar(CONFIG)
    with torch.no_grad():
        model.sep[0] = 1e6
    with pytest.raises(ValueError, match="sep is not finite"):
        native.save(tmp_path / "large", model, DETAILS)
    assert not any(tmp_path.iterdir())


@pytest.mark.parametrize(
    "change",
    [
        {"dtype": "X9"},
        {"dtype": None},
        {"shape": [2, -3]},
        {"shape": [2, 4]},
        {"shape": "23"},
        {"data_offsets": [0]},
        {"data_offsets": [24, 0]},
        {"data_offsets": [0.0, 24.0]},
        {"data_offsets": None},
    ],
)
def test_headers_that_lie(change: dict[str, object], tmp_path: Path) -> None:
    entry = {"dtype": "F32", "shape": [2, 3], "data_offsets": [0, 24], **change}
    header = json.dumps({"a": entry}).encode()
    (tmp_path / "file").write_bytes(struct.pack("<Q", len(header)) + header + bytes(24))
    with pytest.raises(UserError, match="tensor a"):
        read_header(tmp_path / "file")


@pytest.mark.parametrize(
    "header", [b"[]", b"3", b'"a"', b"{", b"\xff", b'{"__metadata__": {"a": 1}}', b"[" * 9000]
)
def test_headers_of_another_kind(header: bytes, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(struct.pack("<Q", len(header)) + header)
    with pytest.raises(UserError, match=r"header|metadata"):
        read_header(tmp_path / "file")


@given(noise=st.binary(max_size=64))
def test_noise_is_no_model_file(noise: bytes, tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.mktemp("noise") / "file"
    for content in (noise, struct.pack("<Q", len(noise)) + noise):
        path.write_bytes(content)
        with pytest.raises(UserError):
            native.load(path)


def test_a_model_of_another_size_is_refused_before_it_is_built(saved: Path) -> None:
    rewrite(saved, {"config": {"dim": 1 << 20, "layers": 1, "heads": 2, "ffn": 1 << 20}})
    with pytest.raises(UserError, match="the config asks for"):
        native.load(saved)


def test_equal_details_are_equal_files(tmp_path: Path, model: ArNar) -> None:
    swapped = replace(DETAILS, symbols=dict(reversed(list(DETAILS.symbols.items()))))
    native.save(tmp_path / "one", model, DETAILS)
    native.save(tmp_path / "two", model, swapped)
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()
