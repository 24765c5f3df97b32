"""Writing a Hugging Face folder: the model as a stock Llama with one vocabulary, as far as that can be."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from torch import Tensor

from valle.checkpoints import container
from valle.checkpoints.beside import HF_CONFIG, HF_MODEL
from valle.checkpoints.container import Stored
from valle.checkpoints.details import KEPT, Details
from valle.checkpoints.huggingface import EMBEDDINGS, HEAD, OWN_KEY, REST, TEXT_FILES
from valle.checkpoints.reference import only_here
from valle.checkpoints.tensors import Held, Tensors, as_bytes
from valle.checkpoints.vocabulary import pieces, tokens, unanswered
from valle.errors import UserError
from valle.files import write_atomically
from valle.models.config import ModelConfig
from valle.text.symbols import SPECIALS
from valle.text.tokenizer_json import FILE_NAME, render
from valle.text.tokens import BOS, EOS, Tokenizer


def write(folder: Path, tensors: Tensors, details: Details) -> None:
    """Write a folder that stock Llama loads, or the one that the model was read from as it was.

    Raises UserError where it cannot be written, and for a model that cannot be a plain Llama.
    """
    config = details.config
    _refuse_unlike(folder, config)
    original = _original(details)
    texts = {name: original[name] for name in TEXT_FILES if name in original} or _texts(tensors, details)
    metadata = json.loads(original.get(HF_MODEL, '{"format": "pt"}'))
    shape = (config.vocabulary, config.dim)
    dtype = tensors.stored["text_emb.weight"].dtype
    stored: dict[str, Stored] = {EMBEDDINGS: Held(dtype, shape), HEAD: Held(dtype, shape)}
    stored |= {name: entry for name, entry in tensors.stored.items() if name.startswith("model.")}
    extra = {
        name.removeprefix(KEPT): entry for name, entry in tensors.stored.items() if name.startswith(KEPT)
    }
    if original:
        stored |= {name: entry for name, entry in extra.items() if KEPT + name != REST}
    made = {EMBEDDINGS: _embedding_rows, HEAD: _head_rows}

    def blocks(name: str) -> Iterator[Any]:
        if name in made:
            return made[name](tensors, config)
        return tensors.blocks(name if name in tensors.stored else KEPT + name)

    container.write(folder / HF_MODEL, stored, blocks, metadata)
    for name, text in texts.items():
        write_atomically(folder / name, text.encode())


def _original(details: Details) -> dict[str, str]:
    """The texts of the folder that a model was read from, if it was one."""
    came = details.original is not None and details.original.format == "huggingface"
    return dict(details.original.texts) if details.original is not None and came else {}


def lost(tensors: Tensors, details: Details) -> list[str]:
    """The tensors of a model that a folder has no place for."""
    config = details.config
    if _original(details):
        return []
    if not config.split_classifiers:
        written = {"classifier.weight"}
    else:
        written = {piece.head for piece in pieces(config) if piece.head is not None}
    written |= {piece.embedding for piece in pieces(config)}
    gone = [
        f"tensor {name} {list(stored.shape)}"
        for name, stored in tensors.stored.items()
        if name not in written and not name.startswith(("model.", KEPT))
    ]
    if details.merges is None and details.symbols:
        gone.append(f"that symbols are found by longest match: {FILE_NAME} merges")
    return gone + only_here(config)


def _embedding_rows(tensors: Tensors, config: ModelConfig) -> Iterator[Any]:
    dtype = tensors.read("text_emb.weight").dtype
    for piece in pieces(config):
        yield as_bytes(tensors.read(piece.embedding).to(dtype))


def _head_rows(tensors: Tensors, config: ModelConfig) -> Iterator[Any]:
    """The heads at their ids, between them the rows that were kept, or zeros."""
    like = tensors.read("text_emb.weight")
    if not config.split_classifiers:
        yield as_bytes(tensors.read("classifier.weight").to(like.dtype))
        return
    heads = {piece.begin: piece.head for piece in pieces(config) if piece.head is not None}
    gaps = dict(unanswered(config))
    kept: list[Tensor] = []
    if REST in tensors.stored:
        kept += tensors.read(REST).split([end - begin for begin, end in gaps.items()])
    for begin in sorted({*heads, *gaps}):
        if begin in heads:
            block = tensors.read(heads[begin]).to(like.dtype)
        else:
            block = kept.pop(0) if kept else like.new_zeros(gaps[begin] - begin, config.dim)
        yield as_bytes(block)


def _refuse_unlike(folder: Path, config: ModelConfig) -> None:
    reason = ""
    if config.architecture != "llama" or config.experts > 1:
        reason = f"its architecture is {config.architecture}"
    elif config.interleave:
        reason = "its codebooks are interleaved, which the one vocabulary has no ids for"
    elif not config.split_classifiers and config.classifier_size not in (0, config.vocabulary):
        reason = f"its one head has {config.classifier_size} rows for {config.vocabulary} ids"
    if reason:
        raise UserError(f"{folder}: this model cannot be written as a stock Llama: {reason}")


def _texts(tensors: Tensors, details: Details) -> dict[str, str]:
    """The small files of a new folder."""
    config = details.config
    names = {"F32": "float32", "F16": "float16", "BF16": "bfloat16", "F64": "float64"}
    document = {
        "architectures": ["LlamaForCausalLM"],
        "attention_bias": False,
        "bos_token_id": 1,
        "dtype": names[tensors.stored["text_emb.weight"].dtype],
        "eos_token_id": 2,
        "hidden_act": "gelu",
        "hidden_size": config.dim,
        "intermediate_size": config.ffn,
        "max_position_embeddings": 22500,
        "model_type": "llama",
        "num_attention_heads": config.heads,
        "num_hidden_layers": config.layers,
        "num_key_value_heads": config.heads,
        "rms_norm_eps": 1e-6,
        "rope_theta": 10000.0,
        "tie_word_embeddings": False,
        "vocab_size": config.vocabulary,
        OWN_KEY: _own_words(details),
    }
    texts = {HF_CONFIG: json.dumps(document, indent=2)}
    if details.symbols:
        tokenizer = Tokenizer.from_dict(details.symbols, details.merges)
        texts[FILE_NAME] = render(tokenizer, tokens(config))
        texts["tokenizer_config.json"] = json.dumps(
            {
                "bos_token": SPECIALS[BOS],
                "eos_token": SPECIALS[EOS],
                "tokenizer_class": "PreTrainedTokenizerFast",
            },
            indent=2,
        )
    return texts


def _own_words(details: Details) -> dict[str, Any]:
    """What our own `config.json` says beside a stock one's keys, of what the folder has a place for."""
    config = replace(details.config, classifiers_bias=False, text_tokens=0)
    said = asdict(replace(details, config=config))
    kept = ("config", "codec", "languages", "default_stacks", "steps", "notes", "longest_sentence")
    return {key: said[key] for key in kept}
