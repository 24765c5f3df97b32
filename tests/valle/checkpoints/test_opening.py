"""Files of the reference as people have them: older ones, odd ones, without a configuration, damaged."""

from __future__ import annotations

import json
import struct
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from plain_forward import PlainForward
from safetensors.torch import load_file, save_file

from valle.abilities import modes_of
from valle.checkpoints import opening
from valle.checkpoints.container import read_header
from valle.checkpoints.convert import convert
from valle.checkpoints.details import tokenizer_of
from valle.errors import UserError
from valle.models.base import Inputs
from valle.models.config import ModelConfig

from .conftest import CONFIG, SYMBOLS, TINY, Writer, metadata_of, tensors_of

ROW = Inputs(phonemes=torch.tensor([1, 4, 2]), language=0, response=torch.zeros(3, 8, dtype=torch.long))
HEAD = "classifiers.proj.{}.{}"
YAML = """
models:
- name: other
  teacher: true
- name: tiny
  size: {dim: 8, heads: 2, layers: 1, audio_tokens: 20, phoneme_tokens: 12}
  tasks: 9
  langs: 6
  capabilities: [ar, nar, len]
  experimental: {audio_embedding_sums: prom, unified_position_ids: false, noncausal_masks: true}
"""


def test_the_file_as_it_should_be(write_sft: Writer) -> None:
    path = write_sft()
    loaded = opening.load(path)
    assert loaded.remarks == ()
    assert loaded.details.config == replace(TINY, capabilities=("ar", "nar", "len", "lang"))
    assert loaded.details.steps == 700
    assert loaded.details.merges == (("a", "b"), ("ab", "c"))
    assert loaded.hash == opening.fingerprint(path)
    for name, tensor in load_file(path).items():
        assert torch.equal(loaded.model.state_dict()[name], tensor)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
@pytest.mark.parametrize("ending", [".sft", ".safetensors", ".pth", ".pt"])
def test_every_dtype_in_every_container(write_sft: Writer, dtype: torch.dtype, ending: str) -> None:
    path = write_sft(name=f"model{ending}", dtype=dtype)
    as_safetensors = opening.fingerprint(path) if ending in (".sft", ".safetensors") else None
    tensors = load_file(path)
    if as_safetensors is None:
        sft = path.rename(path.with_name("other.sft"))
        as_safetensors = opening.fingerprint(sft)
        torch.save({"module": tensors, **metadata_of(CONFIG)}, path)
    loaded = opening.load(path)
    assert loaded.hash == opening.fingerprint(path) == as_safetensors
    assert loaded.details.steps == 700 and loaded.details.symbols == SYMBOLS
    for name, tensor in tensors.items():
        assert loaded.model.state_dict()[name].dtype == torch.float32
        assert torch.equal(loaded.model.state_dict()[name], tensor.float())


def test_old_exports_have_heads_that_are_too_large(write_sft: Writer) -> None:
    large = {
        **{
            HEAD.format(8, kind): torch.ones(21, 8)[:, : 8 if kind == "weight" else 1] for kind in ("weight",)
        },
        HEAD.format(8, "bias"): torch.ones(21),
        HEAD.format(10, "weight"): torch.ones(12, 8),
        HEAD.format(10, "bias"): torch.ones(12),
    }
    loaded = opening.load(write_sft(tensors=large))
    assert loaded.model.state_dict()[HEAD.format(8, "weight")].shape == (20, 8)
    assert loaded.model.state_dict()[HEAD.format(10, "bias")].shape == (11,)
    assert any("classifiers.proj.10.weight has 12 rows, the first 11" in remark for remark in loaded.remarks)


def test_four_languages_and_a_file_that_does_not_say_how_many(write_sft: Writer) -> None:
    four = replace(TINY, languages=4)
    for config in ({"langs": 4}, {"langs": None}):
        details = opening.load(write_sft(four, config=config)).details
        assert details.config.languages == 4
        assert list(details.languages) == ["en", "ja", "de", "fr"]


def test_text_embeddings_are_optional_before_the_text_head(write_sft: Writer) -> None:
    loaded = opening.load(write_sft(replace(TINY, text_tokens=15)))
    assert loaded.model.raw_text_emb.weight.shape == (15, 8)
    assert "text" not in loaded.details.config.head_sizes()
    loaded = opening.load(write_sft(replace(TINY, text_tokens=15, version=6), config={"version": 6}))
    assert list(loaded.details.config.head_sizes())[11] == "text"
    without = replace(TINY, text_tokens=15, version=6, capabilities=("ar", "nar"))
    loaded = opening.load(write_sft(without, config={"version": 6, "capabilities": ["ar", "nar"]}))
    assert list(loaded.details.config.head_sizes())[10] == "text"
    with pytest.raises(UserError, match=r"raw_text_emb\.weight is missing; the config asks for \[15, 8\]"):
        opening.load(write_sft(config={"version": 6}))


@pytest.mark.parametrize("rows", [None, 21])
def test_one_head_for_everything(write_sft: Writer, rows: int | None) -> None:
    one = replace(TINY, split_classifiers=False, classifiers_bias=False, classifier_size=rows or 0)
    loaded = opening.load(write_sft(one))
    outputs = rows or TINY.vocabulary
    assert loaded.model.full([ROW])[0].shape == (4, outputs)
    assert not loaded.details.config.split_classifiers and not loaded.details.config.classifiers_bias


def test_what_was_called_retnet_is_the_model(write_sft: Writer) -> None:
    ours = tensors_of(TINY)
    old = {f"retnet.{name.removeprefix('model.')}": ours[name] for name in ours if name.startswith("model.")}
    path = write_sft(tensors={**dict.fromkeys(name for name in ours if name.startswith("model.")), **old})
    loaded = opening.load(path)
    assert torch.equal(loaded.model.state_dict()["model.norm.weight"], ours["model.norm.weight"])
    assert loaded.hash == opening.fingerprint(path)
    convert(path, path.with_name("native.safetensors"))
    convert(path.with_name("native.safetensors"), path.with_name("back.sft"))
    assert path.with_name("back.sft").read_bytes() == path.read_bytes()


def test_files_from_before_the_masked_level_0(write_sft: Writer, tmp_path: Path) -> None:
    """Eight response tables and nine heads, the phonemes' one last: AR and NAR give what they gave."""
    ours = tensors_of(TINY)
    old = {name: ours[name] for name in ours if name.startswith("classifiers.proj.9")}
    moved = {name.replace(".9.", ".8."): tensor for name, tensor in old.items()}
    gone = [*old, "resps_emb.embeddings.8.weight", "len_emb.weight", HEAD.format(10, "weight")]
    path = write_sft(
        config={"capabilities": ["ar", "nar"]},
        tensors={**dict.fromkeys([*gone, HEAD.format(10, "bias")]), **moved},
    )
    loaded, whole = opening.load(path), opening.load(write_sft(name="whole.sft"))
    assert any("no mode nar-len" in remark for remark in loaded.remarks)
    heard = torch.zeros(3, 8, dtype=torch.long)
    for row in (ROW, replace(ROW, level=3, response=heard), replace(ROW, task="stt", response=heard)):
        assert torch.equal(loaded.model.full([row])[0], whole.model.full([row])[0])
    assert loaded.hash == opening.fingerprint(path)
    convert(path, tmp_path / "native.safetensors")
    assert convert(tmp_path / "native.safetensors", tmp_path / "back.sft").lost == ()
    assert (tmp_path / "back.sft").read_bytes() == path.read_bytes()
    lying = write_sft(
        config={"capabilities": ["ar", "nar", "len"]}, tensors={"resps_emb.embeddings.8.weight": None}
    )
    with pytest.raises(UserError, match=r"resps_emb\.embeddings\.8\.weight is missing"):
        opening.load(lying)


def test_models_of_level_0_from_before_the_masked_one(write_sft: Writer, tmp_path: Path) -> None:
    """Without NAR every table and head of a level has a row for stop, of which only level 0 makes use."""
    ours, able = tensors_of(TINY), {"capabilities": ["ar"]}
    kinds = ("weight", "bias")
    old: dict[str, torch.Tensor | None] = {HEAD.format(8, kind): ours[HEAD.format(9, kind)] for kind in kinds}
    gone = [HEAD.format(head, kind) for head in (9, 10) for kind in kinds]
    for level in range(1, 8):
        for name in (f"resps_emb.embeddings.{level}.weight", *(HEAD.format(level, kind) for kind in kinds)):
            old[name] = torch.cat([ours[name], torch.ones(1, *ours[name].shape[1:])])
    gone += ["resps_emb.embeddings.8.weight", "len_emb.weight"]
    path = write_sft(config=able, tensors={**old, **dict.fromkeys(gone)})
    loaded, whole = opening.load(path), opening.load(write_sft(name="whole.sft"))
    assert modes_of(loaded.details.config) == ("ar+nar",)
    silent = write_sft(
        name="silent.sft", config={"capabilities": None}, tensors={**old, **dict.fromkeys(gone)}
    )
    assert opening.describe(silent).details.config.capabilities == ("ar",)
    heard = torch.arange(24).view(3, 8) % 20
    for row in (ROW, replace(ROW, response=heard), replace(ROW, task="stt", response=heard)):
        assert torch.equal(loaded.model.full([row])[0], whole.model.full([row])[0])
    convert(path, tmp_path / "native.safetensors")
    assert convert(tmp_path / "native.safetensors", tmp_path / "back.sft").lost == ()
    assert (tmp_path / "back.sft").read_bytes() == path.read_bytes()
    with pytest.raises(UserError, match=r"embeddings\.1\.weight is \[21, 8\], the config asks for \[20, 8\]"):
        opening.load(write_sft(tensors={"resps_emb.embeddings.1.weight": torch.zeros(21, 8)}))


def without_ar(model: ModelConfig) -> dict[str, torch.Tensor | None]:
    """What a file of the first demasked models has in place of today's tensors: the masked level 0 first."""
    ours, levels = tensors_of(model), model.audio_levels
    last = len(model.head_sizes())
    table = "resps_emb.embeddings.{}.weight"
    changed: dict[str, torch.Tensor | None] = {table.format(0): ours[table.format(levels)]}
    for kind in ("weight", "bias"):
        mask_row = torch.ones(1, *ours[HEAD.format(levels, kind)].shape[1:])
        changed[HEAD.format(0, kind)] = torch.cat([ours[HEAD.format(levels, kind)], mask_row])
        for head in range(levels + 1, last):
            changed[HEAD.format(head - 1, kind)] = ours[HEAD.format(head, kind)]
        changed[HEAD.format(last - 1, kind)] = None
    return {**changed, table.format(levels): None}


def test_models_without_ar_that_were_demasked_first(write_sft: Writer, tmp_path: Path) -> None:
    """As many tables as levels, the masked level 0 first: what the other reading of the file computes."""
    able = {"capabilities": ["nar", "len"]}
    path = write_sft(config=able, tensors=without_ar(TINY))
    tensors = load_file(path)
    assert tensors[HEAD.format(0, "weight")].shape == (21, 8) and HEAD.format(10, "weight") not in tensors
    loaded = opening.load(path)
    assert modes_of(loaded.details.config) == ("nar-len", "nar")
    plain = PlainForward(tensors, {**CONFIG, **able})
    drawn = torch.Generator().manual_seed(4)
    voice = torch.randint(0, 20, (4, 8), generator=drawn)
    said = {"phonemes": [1, 7, 4, 2], "language": 2, "prompt": voice}
    masked = torch.randint(0, 20, (5, 8), generator=drawn)
    masked[1::2] = TINY.stop
    for row in (
        {**said, "masked": True, "response": masked},
        {**said, "level": 1, "response": voice},
        {**said, "level": 7, "response": voice},
        {**said, "task": "len", "digits": [0, 3]},
        {**said, "task": "stt", "response": voice, "prompt": None},
    ):
        ids = {name: torch.tensor(value) for name, value in row.items() if isinstance(value, list)}
        (ours,) = loaded.model.full([Inputs(**{**row, **ids})])
        theirs = plain.logits(**row)[-len(ours) :, : ours.shape[1]]
        assert (ours - theirs).abs().max() < 1e-4, row
    assert loaded.hash == opening.fingerprint(path)
    convert(path, tmp_path / "native.safetensors")
    assert convert(tmp_path / "native.safetensors", tmp_path / "back.sft").lost == ()
    assert (tmp_path / "back.sft").read_bytes() == path.read_bytes()


def test_the_tensors_tell_a_model_without_ar(write_sft: Writer) -> None:
    path = write_sft(config={"capabilities": None}, tensors=without_ar(TINY))
    assert opening.load(path).details.config.capabilities == ("nar", "len")


def test_models_that_start_level_0_from_ids_that_no_file_names_are_refused(write_sft: Writer) -> None:
    tensors = {**without_ar(TINY), "resps_emb.embeddings.0.weight": torch.zeros(20, 8)}
    path = write_sft(config={"capabilities": ["nar", "len"]}, tensors=tensors)
    for use in (opening.load, opening.describe):
        with pytest.raises(
            UserError, match=r"embeddings\.0\.weight has 20 rows, none of them for a mask"
        ) as told:
            use(path)
        assert str(path) in str(told.value) and "\n" not in str(told.value)


@pytest.mark.parametrize(
    ("size", "expected"),
    [
        ("quarter", (256, 4, 12)),
        ("half", (512, 8, 12)),
        ("full", (1024, 16, 12)),
        ("double", (1024, 16, 24)),
        ("extended", (1024, 16, 16)),
        (0.75, (768, 12, 12)),
        ({"dim": 64, "heads": 8, "layers": 3, "ffn": 7}, (64, 8, 3)),
    ],
)
def test_sizes(write_sft: Writer, size: Any, expected: tuple[int, int, int]) -> None:
    config = opening.describe(write_sft(config={"size": size})).details.config
    assert (config.dim, config.heads, config.layers) == expected
    assert config.ffn == 4 * config.dim, "the reference does not pass ffn on"


@pytest.mark.parametrize(
    ("given", "ours"), [(True, "both"), (False, "none"), ("prom", "prompt"), ("resp", "response")]
)
def test_flags(write_sft: Writer, given: object, ours: str) -> None:
    path = write_sft(
        experimental={
            "audio_embedding_sums": given,
            "unified_position_ids": False,
            "noncausal_masks": True,
            "interleave": True,
            "classifier_offsets": True,
            "rvq_level_range": [0, 4],
        }
    )
    config = opening.describe(path).details.config
    assert config.audio_embedding_sums == ours
    assert config.noncausal_masks and not config.unified_position_ids
    assert config.interleave and config.classifier_offsets and config.rvq_level_range == (0, 4)


def test_unknown_keys_and_tensors_are_ignored_and_named(write_sft: Writer) -> None:
    path = write_sft(
        config={"colour": 3, "resp_levels": 1},
        experimental={"warp": True},
        tensors={"time_emb.weight": torch.ones(3)},
        lora={},
    )
    loaded = opening.load(path)
    assert "unknown settings are ignored: colour, experimental.warp" in loaded.remarks
    assert "tensors without a use are ignored: time_emb.weight" in loaded.remarks


def test_keys_that_are_absent_have_the_defaults_of_the_reference(write_sft: Writer) -> None:
    absent = dict.fromkeys(("audio_embedding_sums", "unified_position_ids", "noncausal_masks"))
    said = opening.describe(write_sft(experimental=absent))
    assert said.details.config.audio_embedding_sums == "none"
    assert said.details.config.unified_position_ids and not said.details.config.noncausal_masks
    assert "audio_embedding_sums false, unified_position_ids true" in said.remarks[0]


@pytest.mark.parametrize(
    ("config", "experimental", "words"),
    [
        ({}, {"causal_size": 2}, "causal_size 2 is not supported, only 1 is"),
        ({}, {"hf": True}, r"hf is true, but there is no tensor model\.embed_tokens\.weight"),
        ({}, {"predict_causally": True}, "predict_causally True is not supported"),
        ({}, {"monolithic_audio_encoder": True}, "monolithic_audio_encoder"),
        ({"version": 7}, {}, "version 7 of the model is not supported, only 5 and 6 are"),
        ({"version": "5"}, {}, "version '5'"),
        ({"arch_type": "perceptron"}, {}, "perceptron"),
        ({"size": "huge"}, {}, "size is 'huge', known are quarter"),
        ({"size": {"dim": 8}}, {}, r"size\.heads"),
        ({"size": [8]}, {}, "size"),
        ({"langs": "six"}, {}, "languages is 'six'"),
        ({"capabilities": 3}, {}, "capabilities is 3"),
        ({"capabilities": "nar"}, {}, "capabilities is 'nar'"),
        ({"capabilities": [1]}, {}, r"capabilities is \[1\], it must list words"),
        ({"langs": 2.5}, {}, "languages is 2.5, it must be a whole number from 1"),
        ({"tasks": True}, {}, "tasks is True"),
        ({"size": {**CONFIG["size"], "layers": 1.5}}, {}, "layers is 1.5"),
        ({"size": {**CONFIG["size"], "dim": "8"}}, {}, "dim is '8'"),
        ({"arch_type": ["llama"]}, {}, r"architecture is \['llama'\], it must be a word"),
        ({}, {"rvq_level_range": [0, "4"]}, r"rvq_level_range is \[0, '4'\], it must list levels"),
        ({}, {"interleave": "yes"}, "interleave is 'yes', it must be true or false"),
        ({}, {"audio_embedding_sums": "some"}, "use true, false, prom or resp"),
        ({}, {"noncausal_masks": "no"}, "noncausal_masks is 'no'"),
        ({"size": {**CONFIG["size"], "layers": 10**9}}, {}, "layers"),
    ],
)
def test_what_cannot_be_used_is_named(
    write_sft: Writer, config: dict[str, Any], experimental: dict[str, Any], words: str
) -> None:
    path = write_sft(config=config, experimental=experimental)
    with pytest.raises(UserError, match=words) as caught:
        opening.load(path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("tensors", "words"),
    [
        ({"sep": None}, r"tensor sep is missing; the config asks for \[8\]"),
        (
            {"text_emb.weight": torch.zeros(11, 8)},
            r"text_emb\.weight is \[11, 8\], the config asks for \[12, 8\]",
        ),
        ({"text_emb.weight": torch.zeros(13, 8)}, r"text_emb\.weight is \[13, 8\]"),
        ({HEAD.format(0, "weight"): torch.zeros(20, 8)}, r"proj\.0\.weight is \[20, 8\]"),
        ({HEAD.format(0, "weight"): torch.zeros(21, 9)}, r"proj\.0\.weight is \[21, 9\]"),
        ({"sep": torch.zeros(8, dtype=torch.complex64)}, "tensor sep"),
    ],
)
def test_tensors_that_do_not_fit(write_sft: Writer, tensors: dict[str, Any], words: str) -> None:
    path = write_sft()
    changed = {**load_file(path), **tensors}
    kept = {name: tensor for name, tensor in changed.items() if tensor is not None}
    save_file(kept, path, read_header(path).metadata)
    with pytest.raises(UserError, match=words) as caught:
        opening.load(path)
    assert str(path) in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "metadata",
    [
        {"config": "{"},
        {"config": "[1]"},
        {"config": '"a"'},
        {"config": "[" * 99999},
        {"userdata": '{"symmap": 3}'},
    ],
)
def test_metadata_that_is_damaged(write_sft: Writer, metadata: dict[str, str]) -> None:
    path = write_sft()
    save_file(load_file(path), path, {**read_header(path).metadata, **metadata})
    with pytest.raises(UserError, match=r"fetch or export it again|cannot be understood") as caught:
        opening.load(path)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize("ending", [".sft", ".pth"])
@pytest.mark.parametrize("keep", [0, 5, 100, 2000, -7])
def test_files_that_are_cut_short(write_sft: Writer, ending: str, keep: int) -> None:
    path = write_sft()
    if ending == ".pth":
        torch.save({"module": load_file(path), **metadata_of(CONFIG)}, path.with_suffix(ending))
        path = path.with_suffix(ending)
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(UserError, match="cut short") as caught:
        opening.load(path)
    assert str(path) in str(caught.value) and "\n" not in str(caught.value)


def test_a_header_that_promises_more_than_there_is(write_sft: Writer) -> None:
    path = write_sft()
    data = path.read_bytes()
    (length,) = struct.unpack("<Q", data[:8])
    header = json.loads(data[8 : 8 + length])
    header["sep"]["shape"] = [1 << 40]
    header["sep"]["data_offsets"][1] = header["sep"]["data_offsets"][0] + (4 << 40)
    text = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + data[8 + length :])
    with pytest.raises(UserError, match="cut short"):
        opening.load(path)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda header: header["sep"].update(data_offsets=[0, 32]), "does not begin where the one before"),
        (lambda header: header.pop("sep"), "does not begin where the one before"),
        (lambda header: header.pop("zz"), "4 bytes at its end belong to no tensor"),
    ],
)
def test_a_header_whose_tensors_overlap_or_leave_a_gap(
    write_sft: Writer, change: Callable[[dict[str, Any]], Any], words: str
) -> None:
    path = write_sft(tensors={"zz": torch.zeros(1)})
    data = path.read_bytes()
    (length,) = struct.unpack("<Q", data[:8])
    header = json.loads(data[8 : 8 + length])
    change(header)
    text = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + data[8 + length :])
    with pytest.raises(UserError, match=words) as caught:
        opening.load(path)
    assert str(path) in str(caught.value) and "\n" not in str(caught.value)


def test_a_state_without_configuration_says_what_is_missing(write_sft: Writer) -> None:
    path = write_sft()
    state = path.parent / "run" / "ckpt" / "tiny" / "900" / "state.sft"
    state.parent.mkdir(parents=True)
    save_file(load_file(path), state, {"stats": json.dumps({"global_step": 900})})
    with pytest.raises(UserError) as caught:
        opening.load(state)
    told = str(caught.value)
    assert "dim 8, layers 1, langs 6, tasks 9, version 5, capabilities ar+nar+len" in told
    for key in ("size.heads", "audio_embedding_sums", "unified_position_ids", "noncausal_masks", "YAML"):
        assert key in told
    assert "\n" not in told

    short = "size: {heads: 2, audio_tokens: 20, phoneme_tokens: 12}\nexperimental: {noncausal_masks: true}\n"
    state.with_suffix(".yaml").write_text(short)
    said = opening.describe(state)
    assert said.details.config.noncausal_masks and said.details.config.layers == 1
    assert said.details.steps == 900
    assert any("the tensors tell what the configuration does not: dim 8" in remark for remark in said.remarks)
    state.with_suffix(".yaml").unlink()

    run = path.parent / "run"
    (run / "config.yaml").write_text(YAML)
    (state.parent.parent / "latest").write_text("900\n")
    for named in (state, run, run / "config.yaml", state.parent.parent):
        config = opening.load(named).details.config
        assert config.audio_embedding_sums == "prompt" and config.noncausal_masks
        assert not config.unified_position_ids
    with pytest.raises(
        UserError, match=r"lacks its tokenizer: its file has none\. Put tokenizer\.json beside"
    ):
        tokenizer_of(opening.load(state).details, "run")


def test_a_yaml_of_the_same_name_goes_before_the_metadata(write_sft: Writer) -> None:
    path = write_sft()
    path.with_name("config.yaml").write_text(YAML)
    assert opening.load(path).details.config.audio_embedding_sums == "none", "it may be another model's"
    path.with_suffix(".yaml").write_text(f"audio_backend: vocos\n{YAML}")
    assert opening.load(path).details.config.audio_embedding_sums == "prompt"
    for text, words in (
        ("a: [", "not valid YAML"),
        ("models: []", "names no model"),
        ("3", "names no model"),
        (f"audio_backend: dac\n{YAML}", "audio_backend 'dac' is not supported, only encodec and vocos are"),
    ):
        path.with_suffix(".yaml").write_text(text)
        with pytest.raises(UserError, match=words) as caught:
            opening.load(path)
        assert "model.yaml" in str(caught.value) and "\n" not in str(caught.value)


def test_yaml_runs_nothing(write_sft: Writer, tmp_path: Path) -> None:
    path, marker = write_sft(), tmp_path / "marker"
    path.with_suffix(".yaml").write_text(f"name: !!python/object/apply:os.mkdir ['{marker}']\n")
    with pytest.raises(UserError, match="not valid YAML"):
        opening.load(path)
    assert not marker.exists()


def test_folders_and_files_that_are_not_there(tmp_path: Path, write_sft: Writer) -> None:
    with pytest.raises(UserError, match="absent: there is no such file or folder"):
        opening.load(tmp_path / "absent")
    with pytest.raises(UserError, match="there is no model file in it"):
        opening.load(tmp_path)
    write_sft(name="one.sft")
    assert opening.load(tmp_path).details.steps == 700
    write_sft(name="two.sft")
    with pytest.raises(UserError, match=r"more than one model file in it: one\.sft, two\.sft"):
        opening.load(tmp_path)


@given(
    changes=st.lists(st.tuples(st.integers(0, 4000), st.integers(0, 255)), min_size=1, max_size=3),
    ending=st.sampled_from([".sft", ".pth"]),
)
def test_bytes_that_changed_are_read_or_refused(
    changes: list[tuple[int, int]], ending: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.mktemp("changed") / f"model{ending}"
    tensors, metadata = tensors_of(TINY), metadata_of(CONFIG)
    if ending == ".pth":
        torch.save({"module": tensors, **metadata}, path)
    else:
        save_file(tensors, path, {key: json.dumps(value) for key, value in metadata.items()})
    data = bytearray(path.read_bytes())
    for place, value in changes:
        data[place] = value
    path.write_bytes(data)
    try:
        opening.load(path)
    except UserError as error:
        assert "\n" not in str(error)
