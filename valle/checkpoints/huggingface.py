"""Hugging Face folders: a stock Llama with one vocabulary over everything.

The embeddings of all kinds of tokens stand in one table, in the order of `vocabulary.pieces`; the heads are
rows of `lm_head`, at the ids of what they answer with. Rows of it that no head has are random in the
reference's folders and zero in those that `stock_llama` writes.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from valle.checkpoints import native
from valle.checkpoints.beside import HF_CONFIG, HF_MODEL
from valle.checkpoints.container import Header, Stored, TensorEntry, read_header
from valle.checkpoints.details import KEPT, CodecName, Details, Original
from valle.checkpoints.reference import CODEC, STACKS, Said
from valle.checkpoints.reference_config import HF_EMBEDDINGS, LANGUAGES, flags_of
from valle.checkpoints.vocabulary import pieces, unanswered
from valle.errors import UserError
from valle.models.config import ModelConfig
from valle.text.tokenizer_json import FILE_NAME

if TYPE_CHECKING:
    from torch import Tensor

    from valle.checkpoints.tensors import Tensors

Table = TypeVar("Table")
"""A tensor, or where it lies in a file."""
EMBEDDINGS, HEAD, BIAS = HF_EMBEDDINGS, "lm_head.weight", "lm_head.bias"
REST = f"{KEPT}{HEAD}.rest"
"""The rows of `lm_head` that no head has, kept in a native file."""
OWN_KEY = "valle_lab"
"""Where our own `config.json` says what transformers has no words for."""
TEXT_FILES = (
    HF_CONFIG,
    FILE_NAME,
    "tokenizer_config.json",
    "generation_config.json",
    "special_tokens_map.json",
)
_UNSAID: dict[str, Any] = {
    "unified_position_ids": True,
    "noncausal_masks": False,
    "audio_embedding_sums": True,
}
"""What a config.json of others has no words for, as stock Llama computes it."""
_STOCK = {
    "model_type": "llama",
    "hidden_act": "gelu",
    "rms_norm_eps": 1e-6,
    "attention_bias": False,
    "mlp_bias": False,
    "tie_word_embeddings": False,
    "rope_scaling": None,
}
"""What a config.json must say where it says anything of these."""


def describe(folder: Path, config: Mapping[str, Any] | None) -> Said:
    """What a folder says about its model, without its numbers; see `read`."""
    return _said(folder, read_header(folder / HF_MODEL), config)


def read(folder: Path, config: Mapping[str, Any] | None) -> tuple[Tensors, Said]:
    """The tensors of a folder under our own names, and what it says; `config` says what the folder does not.

    Raises UserError for files that cannot be read and for a model that is another one than a plain Llama of
    this layout.
    """
    from valle.checkpoints.tensors import from_file

    file = folder / HF_MODEL
    header = read_header(file)
    said = _said(folder, header, config)
    parts = dict(_parts(header.tensors, said.details.config, _rows))
    return _model_of(from_file(file, Header(parts, {})), said.details.config), said


def read_single(tensors: Tensors, said: Said, header: Header | None) -> tuple[Tensors, Said]:
    """The tensors of one file that holds what a folder does, as the reference's `experimental.hf` has it.

    `header` is the file's own where it is a safetensors file. Raises UserError as `read` does.
    """
    from valle.checkpoints.tensors import from_file, from_memory

    _require_tables(tensors.shapes, tensors.path.name)
    config = said.details.config
    try:
        _checked(config, tensors.shapes[EMBEDDINGS])
    except UserError as error:
        raise UserError(f"{tensors.path}: {error}") from error
    if header is not None:
        parts = from_file(tensors.path, Header(dict(_parts(header.tensors, config, _rows)), {}))
    else:
        whole = {name: tensors.read(name) for name in tensors.stored}
        sliced = _parts(whole, config, lambda table, begin, end: table[begin:end])
        parts = from_memory(tensors.path, dict(sliced))
    ignored = (f"{BIAS} is ignored, as stock Llama ignores it",) if BIAS in tensors.stored else ()
    details = replace(said.details, original=None)
    return _model_of(parts, config), Said(details, (*said.remarks, *ignored))


def shapes_told(shapes: Mapping[str, tuple[int, ...]]) -> dict[str, tuple[int, ...]]:
    """Shapes of such a file with those that a file of the reference has: of the released numbers of ids."""
    dim = shapes[EMBEDDINGS][-1]
    usual = ModelConfig(dim=dim, layers=1, heads=1, ffn=1)
    counts = {"langs": usual.languages, "tasks": usual.tasks, "tones": usual.tones}
    return {**shapes, "sep": (dim,), **{f"{name}_emb.weight": (rows, dim) for name, rows in counts.items()}}


def _model_of(parts: Tensors, config: ModelConfig) -> Tensors:
    """The tensors of a model, of the pieces that lie in the two large tables."""
    from valle.checkpoints.tensors import Held

    def tensor(name: str) -> Tensor:
        import torch

        if name == "dropout_token":
            return torch.zeros(config.dim)
        if name == "sep":
            return parts.read(name).reshape(-1)
        if name == REST:
            return torch.cat([parts.read(f"{REST}.{place}") for place in range(len(unanswered(config)))])
        return parts.read(name)

    whole: dict[str, Stored] = {
        name: entry for name, entry in parts.stored.items() if not name.startswith(f"{REST}.")
    }
    whole["sep"] = Held(parts.stored["sep"].dtype, (config.dim,))
    whole["dropout_token"] = Held("F32", (config.dim,))
    if config.split_classifiers:
        rows = sum(end - begin for begin, end in unanswered(config))
        whole[REST] = Held(parts.stored[f"{REST}.0"].dtype, (rows, config.dim))
    return parts.changed(whole, tensor)


def _parts(
    tables: Mapping[str, Table], config: ModelConfig, rows: Callable[[Table, int, int], Table]
) -> Iterator[tuple[str, Table]]:
    """What each of our tensors is of: `rows` of the two large tables, and the layers as they are."""
    for name, table in tables.items():
        if name not in (EMBEDDINGS, HEAD):
            yield name if name.startswith("model.") else f"{KEPT}{name}", table
    table, head = tables[EMBEDDINGS], tables[HEAD]
    for piece in pieces(config):
        yield piece.embedding, rows(table, piece.begin, piece.end)
        if piece.head is not None and config.split_classifiers:
            yield piece.head, rows(head, piece.begin, piece.begin + piece.head_rows)
    if not config.split_classifiers:
        yield "classifier.weight", head
        return
    for place, (begin, end) in enumerate(unanswered(config)):
        yield f"{REST}.{place}", rows(head, begin, end)


def _rows(entry: TensorEntry, begin: int, end: int) -> TensorEntry:
    width = (entry.end - entry.begin) // entry.shape[0]
    return TensorEntry(
        entry.dtype, (end - begin, *entry.shape[1:]), entry.begin + begin * width, entry.begin + end * width
    )


def _said(folder: Path, header: Header, given: Mapping[str, Any] | None) -> Said:
    file = folder / HF_CONFIG
    try:
        document = json.loads(file.read_text(encoding="utf-8"))
        details, remarks = _details(document, header, given, _vocabulary(folder))
    except OSError as error:
        raise UserError(f"{file}: cannot be read: {error.strerror or error}") from error
    except UserError as error:
        raise UserError(f"{file}: {error}") from error
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise UserError(f"{file}: cannot be understood: {error}") from error
    found = [folder / name for name in TEXT_FILES if (folder / name).is_file()]
    texts = {each.name: each.read_text(encoding="utf-8", errors="replace") for each in found}
    original = Original("huggingface", (*texts.items(), (HF_MODEL, json.dumps(header.metadata))))
    return Said(replace(details, original=original), tuple(remarks))


def _details(
    document: Mapping[str, Any],
    header: Header,
    given: Mapping[str, Any] | None,
    vocabulary: Mapping[str, int],
) -> tuple[Details, list[str]]:
    """What `config.json` says, in our own words where it has them, and how it was understood."""
    _refuse_others(document, header)
    remarks: list[str] = []
    layers = 1 + max(int(name.split(".")[2]) for name in header.tensors if name.startswith("model.layers."))
    if document["num_hidden_layers"] != layers:
        remarks.append(
            f"num_hidden_layers is {document['num_hidden_layers']}, but there are {layers} layers; if "
            "num_attention_heads is as wrong, say size.heads in a YAML file beside it"
        )
    if BIAS in header.tensors:
        remarks.append(f"{BIAS} is ignored, as stock Llama ignores it")
    shape = header.tensors[EMBEDDINGS].shape
    if (own := document.get(OWN_KEY)) is not None:
        try:
            details = native.details_of(own)
        except UserError as error:
            raise UserError(f"{OWN_KEY}: {error}") from error
        return replace(details, config=_checked(details.config, shape)), remarks
    experimental = (given or {}).get("experimental") or {}
    assumed = {key: value for key, value in _UNSAID.items() if experimental.get(key) is None}
    if assumed:
        shown = ", ".join(f"{key} {str(value).lower()}" for key, value in assumed.items())
        remarks.append(
            f"{HF_CONFIG} does not say {', '.join(assumed)}; taken as stock Llama has them: {shown}"
        )
    config = ModelConfig(
        dim=document["hidden_size"],
        layers=layers,
        heads=_size_of(given).get("heads", document["num_attention_heads"]),
        ffn=document["intermediate_size"],
        classifiers_bias=False,
        task_tokens_counted=False,
        **_counts(vocabulary),
        **flags_of({**assumed, **experimental}),
    )
    languages = {code: row for row, code in enumerate(LANGUAGES[: config.languages])}
    details = Details(_checked(config, shape), CodecName(CODEC), languages=languages, default_stacks=STACKS)
    return details, remarks


def _checked(config: ModelConfig, shape: tuple[int, ...]) -> ModelConfig:
    wanted = (config.vocabulary, config.dim)
    if shape != wanted:
        raise UserError(
            f"the vocabulary is {list(shape)}, {list(wanted)} is expected of its languages and tasks; "
            f"put the model's {FILE_NAME} beside it"
        )
    return config


def _size_of(given: Mapping[str, Any] | None) -> Mapping[str, Any]:
    size = (given or {}).get("size")
    return size if isinstance(size, Mapping) else {}


def _counts(vocabulary: Mapping[str, int]) -> dict[str, Any]:
    """How many languages, tasks and tones the tokenizer has strings for; the released numbers without one."""
    counts = {"languages": "<|lang:", "tasks": "<|task:", "tones": "<|tone:"}
    found = {name: sum(text.startswith(prefix) for text in vocabulary) for name, prefix in counts.items()}
    return {name: count for name, count in found.items() if count}


def _vocabulary(folder: Path) -> Mapping[str, int]:
    """The tokenizer's strings; none where it is damaged, which its own reader will say."""
    try:
        document = json.loads((folder / FILE_NAME).read_text(encoding="utf-8"))
        return {str(text): int(index) for text, index in document["model"]["vocab"].items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return {}


def _refuse_others(document: Mapping[str, Any], header: Header) -> None:
    rope = document.get("rope_parameters") or {}
    flat = {**document, "rope_theta": rope.get("rope_theta", document.get("rope_theta", 10000.0))}
    if rope.get("rope_type", "default") != "default":
        raise UserError(f"rope_type {rope['rope_type']!r} is not supported, only default is")
    for key, only in {**_STOCK, "rope_theta": 10000.0}.items():
        if flat.get(key, only) != only:
            raise UserError(f"{key} {flat[key]!r} is not supported, only {only!r} is")
    heads = document["num_attention_heads"]
    if document.get("num_key_value_heads", heads) != heads:
        raise UserError("num_key_value_heads other than num_attention_heads is not supported")
    _require_tables({name: entry.shape for name, entry in header.tensors.items()}, HF_MODEL)


def _require_tables(shapes: Mapping[str, tuple[int, ...]], file: str) -> None:
    """Raise UserError unless there are the two large tables, of one shape."""
    for name in (EMBEDDINGS, HEAD):
        if name not in shapes:
            raise UserError(f"{file} has no tensor {name}: it is no model with one vocabulary")
    if shapes[EMBEDDINGS] != shapes[HEAD]:
        told = " and ".join(f"{name} {list(shapes[name])}" for name in (EMBEDDINGS, HEAD))
        raise UserError(f"{told} have different shapes; export it again")
