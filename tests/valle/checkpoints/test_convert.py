"""From one format into another and back; every bit of a reference's file survives."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors import safe_open
from safetensors.torch import load_file, save, save_file

from valle.checkpoints import container, native, opening
from valle.checkpoints.convert import convert, format_of
from valle.checkpoints.tensors import from_memory
from valle.errors import UserError
from valle_lab.cli import main

from .conftest import CONFIG, TINY, Writer, metadata_of, tensors_of

RELEASED = Path(__file__).parents[2] / "data" / "parity" / "a_released" / "model.sft"
DTYPES = [torch.float32, torch.float16, torch.bfloat16, torch.int64, torch.uint8, torch.bool]


def test_a_file_of_the_reference_comes_back_bit_for_bit(tmp_path: Path) -> None:
    convert(RELEASED, tmp_path / "native.safetensors")
    written = convert(tmp_path / "native.safetensors", tmp_path / "back.sft")
    assert written.lost == written.remarks == ()
    assert (tmp_path / "back.sft").read_bytes() == RELEASED.read_bytes()
    assert opening.fingerprint(tmp_path / "native.safetensors") == opening.fingerprint(RELEASED)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
def test_what_we_have_no_use_for_comes_back_too(
    write_sft: Writer, tmp_path: Path, dtype: torch.dtype
) -> None:
    odd = {"time_emb.weight": torch.ones(3), "classifiers.proj.10.weight": torch.ones(12, 8)}
    path = write_sft(
        config={"colour": "blue"},
        experimental={"warp": [1, None]},
        tensors=odd,
        dtype=dtype,
        lora={"rank": 3},
    )
    # The library writes metadata in random order; ours is the order that is there.
    convert(path, tmp_path / "native.safetensors")
    convert(tmp_path / "native.safetensors", tmp_path / "back.sft")
    assert (tmp_path / "back.sft").read_bytes() == path.read_bytes()
    first, second = opening.load(path), opening.load(tmp_path / "native.safetensors")
    assert first.details == second.details
    for name, tensor in first.model.state_dict().items():
        assert torch.equal(second.model.state_dict()[name], tensor)


def test_a_pickled_file_becomes_a_safe_one(tmp_path: Path) -> None:
    torch.save({"module": tensors_of(TINY), **metadata_of(CONFIG)}, tmp_path / "model.pth")
    convert(tmp_path / "model.pth", tmp_path / "model.sft")
    with safe_open(tmp_path / "model.sft", "pt") as file:
        assert json.loads(file.metadata()["config"]) == CONFIG
        assert json.loads(file.metadata()["userdata"]) == metadata_of(CONFIG)["userdata"]
    pickled, safe = opening.load(tmp_path / "model.pth"), opening.load(tmp_path / "model.sft")
    assert pickled.hash == safe.hash and pickled.details == safe.details


def test_a_model_of_ours_says_what_the_reference_will_not_know(tmp_path: Path) -> None:
    written = convert(opening.BUILTIN_MODEL, tmp_path / "builtin.sft")
    lost = "; ".join(written.lost)
    for words in ("longest match", "the codec builtin-1", "task tokens", "forward attention of layer 2"):
        assert words in lost
    ours, theirs = opening.load(opening.BUILTIN_MODEL), opening.load(tmp_path / "builtin.sft")
    assert theirs.hash == ours.hash
    same = replace(
        theirs.details.config,
        task_tokens_counted=True,
        capabilities=ours.details.config.capabilities,
        forward_attention=ours.details.config.forward_attention,
    )
    assert same == ours.details.config


def test_dtypes_are_changed_when_asked(write_sft: Writer, tmp_path: Path) -> None:
    convert(write_sft(), tmp_path / "half.safetensors", torch.float16)
    assert {tensor.dtype for tensor in load_file(tmp_path / "half.safetensors").values()} == {torch.float16}
    assert native.read_details(tmp_path / "half.safetensors").steps == 700
    large = write_sft(tensors={"sep": torch.full((8,), 1e6)})
    with pytest.raises(UserError, match=r"tensor sep is not finite as torch\.float16"):
        convert(large, tmp_path / "large.sft", torch.float16)
    assert not (tmp_path / "large.sft").exists()


def test_names_of_targets(tmp_path: Path) -> None:
    assert format_of(tmp_path / "a.safetensors") == "native"
    assert format_of(tmp_path / "a.sft") == "reference"
    assert format_of(tmp_path / "folder") == format_of(tmp_path) == "huggingface"
    with pytest.raises(UserError, match=r"\.safetensors \(our format\)"):
        format_of(tmp_path / "a.gguf")


def test_the_command(write_sft: Writer, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path, out = write_sft(config={"colour": 1}), tmp_path / "out.safetensors"
    assert main(["convert", str(path), str(out), "--dtype", "bfloat16", "--json"]) == 0
    told = capsys.readouterr()
    assert json.loads(told.out)["format"] == "native" and "colour" in told.err
    assert main(["convert", str(path), str(out)]) == 2
    assert "--overwrite" in capsys.readouterr().err
    assert main(["convert", str(out), str(tmp_path / "hf"), "--overwrite"]) == 0
    assert "has no place for: tensor dropout_token" in capsys.readouterr().err
    assert main(["convert", str(tmp_path / "absent"), str(tmp_path / "b.sft")]) == 2
    assert "is not there" in capsys.readouterr().err


@given(
    tensors=st.dictionaries(
        st.text(min_size=1, max_size=6).filter(lambda name: name != "__metadata__"),
        st.tuples(st.sampled_from(DTYPES), st.lists(st.integers(0, 3), max_size=3)),
        max_size=5,
    ),
    value=st.text(max_size=20),
)
def test_containers_are_written_as_the_library_writes_them(
    tensors: dict[str, tuple[torch.dtype, list[int]]],
    value: str,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    made = {name: torch.ones(shape).to(dtype) for name, (dtype, shape) in tensors.items()}
    path = tmp_path_factory.mktemp("container") / "file"
    source = from_memory(path, made)
    container.write(path, source.stored, source.blocks, {"key": value})
    assert path.read_bytes() == save(made, {"key": value})
    header = container.read_header(path)
    assert container.content_hash(path, header) == source.hash()


def test_a_write_that_fails_leaves_nothing(tmp_path: Path) -> None:
    source = from_memory(tmp_path, {"a": torch.ones(2)})

    def broken(name: str) -> list[bytes]:
        raise UserError("the source broke off")

    with pytest.raises(UserError, match="broke off"):
        container.write(tmp_path / "file", source.stored, broken, {})
    assert not any(tmp_path.iterdir())
    save_file({"a": torch.ones(2)}, tmp_path / "old")
    with pytest.raises(UserError, match="cannot be written"):
        container.write(tmp_path / "old" / "file", source.stored, source.blocks, {})
