"""Hugging Face folders: a stock Llama with one vocabulary over everything.

The embeddings of all kinds of tokens stand in one table, in the order of `vocabulary.pieces`; the heads are
rows of `lm_head`, at the ids of what they answer with. Rows of it that no head has are random in the
reference's folders and zero in those made here.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from valle.checkpoints import container, native
from valle.checkpoints.beside import HF_CONFIG, HF_MODEL
from valle.checkpoints.container import Header, Stored, TensorEntry, read_header
from valle.checkpoints.details import KEPT, CodecName, Details, Original
from valle.checkpoints.reference import CODEC, STACKS, Said, read_forward
from valle.checkpoints.reference_config import HF_EMBEDDINGS, LANGUAGES, flags_of
from valle.checkpoints.vocabulary import pieces, tokens, unanswered
from valle.errors import UserError
from valle.files import write_atomically
from valle.models.config import ModelConfig
from valle.text.symbols import SPECIALS
from valle.text.tokenizer_json import FILE_NAME, render
from valle.text.tokens import BOS, EOS, Tokenizer

if TYPE_CHECKING:
    from torch import Tensor

    from valle.checkpoints.tensors import Tensors

Table = TypeVar("Table")
"""A tensor, or where it lies in a file."""
EMBEDDINGS, HEAD, BIAS = HF_EMBEDDINGS, "lm_head.weight", "lm_head.bias"
REST = f"{KEPT}{HEAD}.rest"
"""The rows of `lm_head` that no head has, kept in a native file."""
BOS_NAME, EOS_NAME = SPECIALS[BOS], SPECIALS[EOS]
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


def write(folder: Path, tensors: Tensors, details: Details) -> None:
    """Write a folder that stock Llama loads, or the one that the model was read from as it was.

    Raises UserError where it cannot be written, and for a model that cannot be a plain Llama.
    """
    from valle.checkpoints.tensors import Held

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
    return gone + ([read_forward(config)] if config.forward_attention else [])


def _embedding_rows(tensors: Tensors, config: ModelConfig) -> Iterator[Any]:
    from valle.checkpoints.tensors import as_bytes

    dtype = tensors.read("text_emb.weight").dtype
    for piece in pieces(config):
        yield as_bytes(tensors.read(piece.embedding).to(dtype))


def _head_rows(tensors: Tensors, config: ModelConfig) -> Iterator[Any]:
    """The heads at their ids, between them the rows that were kept, or zeros."""
    from valle.checkpoints.tensors import as_bytes

    like = tensors.read("text_emb.weight")
    if not config.split_classifiers:
        yield as_bytes(tensors.read("classifier.weight").to(like.dtype))
        return
    heads = {piece.begin: piece for piece in pieces(config) if piece.head is not None}
    kept = tensors.read(REST) if REST in tensors.stored else None
    given = 0
    rest = dict(unanswered(config))
    place = 0
    while place < config.vocabulary:
        if place in rest:
            rows = rest[place] - place
            block = like.new_zeros(rows, config.dim) if kept is None else kept[given : given + rows]
            yield as_bytes(block.contiguous())
            given, place = given + rows, rest[place]
        else:
            piece = heads[place]
            yield as_bytes(tensors.read(str(piece.head)).to(like.dtype))
            place += piece.head_rows


def _refuse_unlike(folder: Path, config: ModelConfig) -> None:
    reason = ""
    if config.architecture != "llama" or config.experts > 1:
        reason = f"its architecture is {config.architecture}"
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
            {"bos_token": BOS_NAME, "eos_token": EOS_NAME, "tokenizer_class": "PreTrainedTokenizerFast"},
            indent=2,
        )
    return texts


def _own_words(details: Details) -> dict[str, Any]:
    """What our own `config.json` says beside a stock one's keys, of what the folder has a place for."""
    config = replace(details.config, classifiers_bias=False, text_tokens=0)
    said = asdict(replace(details, config=config))
    kept = ("config", "codec", "languages", "default_stacks", "steps", "notes", "longest_sentence")
    return {key: said[key] for key in kept}
