"""Hugging Face folders, beside stock Llama: the reference's own folder, and those made here."""

from __future__ import annotations

import filecmp
import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor
from transformers import LlamaForCausalLM, PreTrainedTokenizerFast

from valle.abilities import tasks_of
from valle.checkpoints import native, opening
from valle.checkpoints.convert import convert
from valle.checkpoints.details import CodecName, Details
from valle.checkpoints.vocabulary import pieces, tokens
from valle.errors import UserError
from valle.models.ar_nar import ArNar
from valle.models.base import Inputs
from valle.models.choice import model_of
from valle.models.config import ModelConfig

from .conftest import TINY, Writer

FOLDER = Path(__file__).parents[2] / "data" / "parity" / "e_hf_layout"
FIRST_AR_ID = 8484
PHONEMES, PROMPT_FRAMES, FRAMES = 9, 20, 12


@pytest.fixture(scope="module")
def golden() -> dict[str, Tensor]:
    return load_file(FOLDER / "golden.safetensors")


def row_of(ids: Tensor, response: Tensor | None = None) -> Inputs:
    """The AR row that a sequence of ids of the one vocabulary stands for."""
    prompt = torch.zeros(PROMPT_FRAMES, 8, dtype=torch.long)
    prompt[:, 0] = ids[14 : 14 + PROMPT_FRAMES] - 292
    codes = ids[15 + PROMPT_FRAMES :] - FIRST_AR_ID if response is None else response
    return Inputs(phonemes=ids[:PHONEMES].long(), language=0, prompt=prompt, response=codes.long()[:, None])


def test_the_ranges_are_those_of_the_reference() -> None:
    config = ModelConfig(dim=32, layers=3, heads=4, ffn=128)
    parts = pieces(config)
    assert parts[-1].end == config.vocabulary == 17702
    assert [part.begin for part in parts[:8]] == [0, 256, 264, 270, 279, 290, 291, 292]
    assert [part.begin for part in parts[-9:]] == [8484, *range(9509, 16678, 1024)]
    vocabulary = json.loads((FOLDER / "hf" / "tokenizer.json").read_text())["model"]["vocab"]
    ours = tokens(config)
    assert {text: index for text, index in vocabulary.items() if index >= 256} == ours


def test_logits_and_greedy_tokens_are_those_of_the_reference(golden: dict[str, Tensor]) -> None:
    loaded = opening.load(FOLDER / "hf")
    ids = golden["input_ids"]
    ours = loaded.model.full([row_of(ids)])[0]
    assert (ours - golden["logits_ar_range"][-FRAMES - 1 :]).abs().max() < 1e-4
    cache, logits = loaded.model.begin([row_of(ids, torch.zeros(0))], 40)
    made = []
    for _ in range(40):
        made.append(int(logits.argmax()))
        logits = loaded.model.advance(cache, torch.tensor(made[-1:]))
    assert made == golden["greedy_ar"].tolist()
    assert "taken as stock Llama has them" in loaded.remarks[0]


@pytest.mark.parametrize("ending", [".sft", ".pth"])
def test_one_file_with_one_vocabulary(golden: dict[str, Tensor], tmp_path: Path, ending: str) -> None:
    """What the reference's `experimental.hf` keeps: the folder's tensors beside its own configuration."""
    tensors = load_file(FOLDER / "hf" / "model.safetensors")
    tensors["lm_head.bias"] = torch.ones(17702)
    experimental = {"hf": True, "audio_embedding_sums": False, "noncausal_masks": False}
    size = {"dim": 32, "heads": 4, "layers": 3}
    config = {"version": 6, "size": size, "langs": 6, "tasks": 9, "tones": 1, "experimental": experimental}
    path = (tmp_path / "model").with_suffix(ending)
    if ending == ".sft":
        save_file(tensors, path, {"config": json.dumps(config)})
    else:
        torch.save({"module": tensors, "config": config}, path)
    loaded = opening.load(path)
    assert loaded.hash == opening.fingerprint(path)
    assert any("lm_head.bias is ignored" in remark for remark in loaded.remarks)
    assert "phn" not in tasks_of(loaded.details.config), "the one vocabulary has no text"
    ours = loaded.model.full([row_of(golden["input_ids"])])[0]
    assert (ours - golden["logits_ar_range"][-FRAMES - 1 :]).abs().max() < 1e-4
    convert(path, tmp_path / "back")
    back = load_file(tmp_path / "back" / "model.safetensors")
    assert all(torch.equal(back[name], tensor) for name, tensor in tensors.items() if name != "lm_head.bias")


def test_a_single_file_of_another_vocabulary_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "model.sft"
    tensors = {"model.embed_tokens.weight": torch.zeros(16641, 8), "lm_head.weight": torch.zeros(16641, 8)}
    config = {"size": {"dim": 8, "heads": 2, "layers": 1}, "experimental": {"hf": True}}
    save_file(tensors, path, {"config": json.dumps(config)})
    with pytest.raises(UserError, match=r"model\.sft: the vocabulary is \[16641, 8\], \[17702, 8\]"):
        opening.load(path)


def test_the_file_in_a_folder_stands_for_the_folder() -> None:
    assert opening.describe(FOLDER / "hf" / "model.safetensors") == opening.describe(FOLDER / "hf")


def test_a_yaml_beside_says_what_the_folder_does_not(golden: dict[str, Tensor], tmp_path: Path) -> None:
    shutil.copytree(FOLDER / "hf", tmp_path / "hf")
    keys = "audio_embedding_sums: true, unified_position_ids: false, noncausal_masks: true"
    (tmp_path / "hf" / "config.yaml").write_text(f"experimental: {{{keys}}}")
    loaded = opening.load(tmp_path / "hf")
    assert loaded.remarks == () and loaded.details.config.noncausal_masks
    ours = loaded.model.full([row_of(golden["input_ids"])])[0]
    assert (ours - golden["logits_ar_range_split_positions"][-FRAMES - 1 :]).abs().max() < 1e-4


def test_the_folder_comes_back_bit_for_bit(tmp_path: Path) -> None:
    convert(FOLDER / "hf", tmp_path / "native.safetensors")
    assert convert(tmp_path / "native.safetensors", tmp_path / "hf").lost == ()
    names = [path.name for path in (FOLDER / "hf").iterdir()]
    _, different, strange = filecmp.cmpfiles(FOLDER / "hf", tmp_path / "hf", names, shallow=False)
    assert not different and not strange and len(names) == 4
    direct, ours = opening.load(FOLDER / "hf"), opening.load(tmp_path / "native.safetensors")
    assert ours.details.symbols == direct.details.symbols
    for name, tensor in direct.model.state_dict().items():
        assert torch.equal(ours.model.state_dict()[name], tensor)


@torch.inference_mode()
@pytest.mark.parametrize("dtype", [None, torch.float16])
def test_stock_llama_loads_what_is_written(
    write_sft: Writer, tmp_path: Path, dtype: torch.dtype | None
) -> None:
    path = write_sft(replace(TINY, classifiers_bias=False))
    written = convert(path, tmp_path / "hf", dtype)
    assert written.lost == ("tensor dropout_token [8]",)
    stock, report = LlamaForCausalLM.from_pretrained(
        tmp_path / "hf", output_loading_info=True, dtype=torch.float32
    )
    assert not any(report[key] for key in ("missing_keys", "unexpected_keys", "mismatched_keys"))
    config = TINY
    starts = {part.embedding: part.begin for part in pieces(config)}
    response = torch.tensor([3, 19, 0, 7])
    ids = torch.cat(
        [
            torch.tensor([1, 4, 9, 2, starts["sep"], starts["langs_emb.weight"] + 1, starts["sep"]]),
            torch.tensor([starts["rvq_l_emb.weight"], starts["sep"]]),
            starts["resps_emb.embeddings.0.weight"] + response,
        ]
    )
    logits = stock(ids[None]).logits[0]
    row = Inputs(phonemes=torch.tensor([1, 4, 9, 2]), language=1, response=response[:, None])
    ours = opening.load(tmp_path / "hf").model.full([row])[0]
    begin = starts["resps_emb.embeddings.0.weight"]
    assert (logits[-5:, begin : begin + 21] - ours).abs().max() < 1e-4
    stock_tokenizer = PreTrainedTokenizerFast.from_pretrained(tmp_path / "hf")
    assert stock_tokenizer("abcab")["input_ids"] == [1, 8, 6, 2]
    assert stock_tokenizer.convert_tokens_to_ids("<|sep|>") == starts["sep"]
    exact = opening.load(path).model.full([row])[0]
    assert (exact - ours).abs().max() < (1e-4 if dtype is None else 0.2)


def test_what_a_folder_has_no_place_for_is_listed(write_sft: Writer, tmp_path: Path) -> None:
    path = write_sft(replace(TINY, text_tokens=15, version=6), config={"version": 6})
    lost = convert(path, tmp_path / "hf").lost
    assert {"tensor raw_text_emb.weight [15, 8]", "tensor classifiers.proj.11.weight [15, 8]"} < set(lost)
    assert sum("bias" in name for name in lost) == 12
    loaded = opening.load(tmp_path / "hf")
    assert loaded.details.config == replace(
        opening.describe(path).details.config, classifiers_bias=False, text_tokens=0
    )
    assert loaded.details.steps == 700 and loaded.details.merges == (("a", "b"), ("ab", "c"))


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"interleave": True, "capabilities": ("ar",)}, "its codebooks are interleaved"),
        ({"architecture": "retnet"}, "its architecture is retnet"),
        ({"split_classifiers": False, "classifier_size": 21}, "its one head has 21 rows"),
    ],
)
def test_models_that_are_no_stock_llama_are_refused(
    tmp_path: Path, changes: dict[str, Any], reason: str
) -> None:
    details = Details(replace(TINY, **changes), CodecName("encodec"))
    native.save(tmp_path / "own.safetensors", model_of(details.config), details, torch.float32)
    with pytest.raises(UserError, match=f"cannot be written as a stock Llama: {reason}"):
        convert(tmp_path / "own.safetensors", tmp_path / "hf")
    assert not (tmp_path / "hf").exists()


@pytest.mark.parametrize("target", ["hf", "back.sft"])
def test_layers_that_only_we_make_ternary_are_listed(tmp_path: Path, target: str) -> None:
    details = Details(replace(TINY, bitnet=True), CodecName("encodec"))
    native.save(tmp_path / "own.safetensors", model_of(details.config), details, torch.float32)
    lost = convert(tmp_path / "own.safetensors", tmp_path / target).lost
    assert "that the linear layers are ternary: others take their weights as they are" in lost


def test_our_own_words_go_there_and_back(tmp_path: Path) -> None:
    """What a file of ours says beside its tensors; that symbols are cut by longest match is told as lost."""
    details = Details(
        replace(TINY, classifiers_bias=False),
        CodecName("some-codec", "ab12"),
        symbols={"<unk>": 0, "<bos>": 1, "</eos>": 2, "<mask>": 3, "a": 4, "ab": 5},
        languages={"xx": 3},
        default_stacks={"ar": [{"name": "greedy"}]},
        steps=7,
        notes="a few words",
        longest_sentence=33,
    )
    native.save(tmp_path / "own.safetensors", ArNar(details.config), details, torch.float32)
    lost = convert(tmp_path / "own.safetensors", tmp_path / "hf").lost
    assert "that symbols are found by longest match: tokenizer.json merges" in lost
    found = opening.describe(tmp_path / "hf").details
    assert replace(found, symbols=details.symbols, merges=None, original=None) == details
    assert set(found.symbols) == set(details.symbols)


@pytest.mark.parametrize(
    ("change", "key"),
    [
        ({"codec": 3}, "codec"),
        ({"steps": "many"}, "steps"),
        ({"languages": [1]}, "languages"),
        ({"default_stacks": 3}, "default_stacks"),
        ({"longest_sentence": 0}, "longest_sentence"),
        ({"config": {"dim": 8}}, "config.layers"),
        ({"config": 3}, "config"),
    ],
)
def test_own_words_that_are_wrong_are_named(
    write_sft: Writer, tmp_path: Path, change: dict[str, Any], key: str
) -> None:
    convert(write_sft(), tmp_path / "hf")
    file = tmp_path / "hf" / "config.json"
    document = json.loads(file.read_text())
    for own, words in (({**document["valle_lab"], **change}, f"valle_lab: {key}"), (5, "valle_lab")):
        file.write_text(json.dumps({**document, "valle_lab": own}))
        with pytest.raises(UserError, match=words) as caught:
            opening.load(tmp_path / "hf")
        assert str(file) in str(caught.value) and "\n" not in str(caught.value)


def test_one_head_for_everything_goes_there_and_back(write_sft: Writer, tmp_path: Path) -> None:
    one = replace(TINY, split_classifiers=False, classifiers_bias=False)
    path = write_sft(one)
    convert(path, tmp_path / "hf")
    before, after = opening.load(path).model.state_dict(), opening.load(tmp_path / "hf").model.state_dict()
    assert torch.equal(after["classifier.weight"], before["classifier.weight"])
    short = write_sft(replace(one, classifier_size=21), name="short.sft")
    with pytest.raises(UserError, match="its one head has 21 rows"):
        convert(short, tmp_path / "other")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"hidden_act": "silu"}, "hidden_act 'silu' is not supported, only 'gelu' is"),
        ({"rope_theta": 500000.0}, "rope_theta 500000.0"),
        ({"rope_parameters": {"rope_theta": 1.0, "rope_type": "default"}}, "rope_theta 1.0"),
        ({"rope_parameters": {"rope_type": "yarn"}}, "rope_type 'yarn'"),
        ({"rms_norm_eps": 1e-5}, "rms_norm_eps"),
        ({"num_key_value_heads": 2}, "num_key_value_heads"),
        ({"num_attention_heads": 3}, "heads"),
        ({"model_type": "qwen"}, "model_type 'qwen'"),
        ({"hidden_size": "wide"}, "config.json"),
        ({"hidden_size": 64}, r"the vocabulary is \[17702, 32\], \[17702, 64\] is expected"),
        ({"intermediate_size": 100}, r"is \[128, 32\], the config asks for \[100, 32\]"),
    ],
)
def test_models_that_are_another_kind(tmp_path: Path, change: dict[str, Any], words: str) -> None:
    folder = tmp_path / "hf"
    folder.mkdir()
    for file in (FOLDER / "hf").iterdir():
        (folder / file.name).symlink_to(file)
    document = json.loads((FOLDER / "hf" / "config.json").read_text())
    (folder / "config.json").unlink()
    (folder / "config.json").write_text(json.dumps({**document, **change}))
    with pytest.raises(UserError, match=words) as caught:
        opening.load(folder)
    assert "\n" not in str(caught.value)


def test_layers_are_counted_and_a_bias_is_ignored(tmp_path: Path, golden: dict[str, Tensor]) -> None:
    folder = tmp_path / "hf"
    shutil.copytree(FOLDER / "hf", folder)
    tensors = load_file(folder / "model.safetensors")
    save_file({**tensors, "lm_head.bias": torch.ones(17702)}, folder / "model.safetensors", {"format": "pt"})
    document = json.loads((folder / "config.json").read_text())
    as_exported = {"num_hidden_layers": 12, "num_attention_heads": 16, "num_key_value_heads": 16}
    (folder / "config.json").write_text(json.dumps({**document, **as_exported}))
    (folder / "config.yaml").write_text("size: {heads: 4}")
    loaded = opening.load(folder)
    assert (loaded.details.config.layers, loaded.details.config.heads) == (3, 4)
    assert any("num_hidden_layers is 12, but there are 3 layers" in remark for remark in loaded.remarks)
    assert "lm_head.bias is ignored, as stock Llama ignores it" in loaded.remarks
    ours = loaded.model.full([row_of(golden["input_ids"])])[0]
    assert (ours - golden["logits_ar_range"][-FRAMES - 1 :]).abs().max() < 1e-4


def test_a_damaged_tokenizer_is_named(tmp_path: Path) -> None:
    folder = tmp_path / "hf"
    shutil.copytree(FOLDER / "hf", folder)
    (folder / "tokenizer.json").write_text('{"model": {"vocab": 3')
    with pytest.raises(UserError, match=r"tokenizer\.json: is no tokenizer\.json"):
        opening.load(folder)
