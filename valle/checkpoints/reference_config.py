"""The configuration of e-c-k-e-r/vall-e: what of it changes the numbers, and what the tensors tell alone.

Names, defaults and meaning are those of its `config.py`. A key that is absent has the reference's default
where the tensors do not tell it. Needs no torch.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from valle.errors import UserError
from valle.models.config import LENGTH_TOKENS, EmbeddingSums, ModelConfig

LANGUAGES = ("en", "ja", "de", "fr", "zh", "ko")
"""Codes of the language embedding's rows."""
FFN_FACTOR = 4  # its files may say otherwise, its code does not listen
VERSIONS = (5, 6)
Shapes = Mapping[str, tuple[int, ...]]
HF_EMBEDDINGS = "model.embed_tokens.weight"
"""The table over the one vocabulary, by which a stock Llama's file is known."""

_SIZES = {
    "quarter": (256, 4, 12),
    "half": (512, 8, 12),
    "full": (1024, 16, 12),
    "double": (1024, 16, 24),
    "extended": (1024, 16, 16),
}
_SUMS: dict[object, EmbeddingSums] = {True: "both", False: "none", "prom": "prompt", "resp": "response"}
_TEXT_TOKENS = 8575
_WORDS = """
name version size tasks langs tones experts arch_type training teacher frozen_params attention dropout path
loss_factors capabilities kwargs experimental resp_levels prom_levels interleave
"""
_EXPERIMENTAL_WORDS = """
hf interleave split_classifiers audio_embedding_sums audio_embedding_mode kv_heads rvq_levels_p p_rvq_levels
rvq_level_range unified_position_ids tie_classifier_to_embedding causal_size masking_train_p
masking_train_rvq_levels masking_ratio masking_ratio_fixed ignore_inputs_for_loss noncausal_masks
classifiers_bias max_position_embeddings resp_parallel_training predict_causally monolithic_audio_encoder
len_parallel_training len_use_logits len_loss_factor p_len_train parallel_attention_mask_dropout
layer_dropout_p codebook_dropout_p logit_normalization per_level_normalization audio_level_loss_factors
use_segmented_attention_mask use_sliding_attention_mask use_streamlined_calc_loss
use_audio_encoder_level_weights use_audio_encoder_ffn use_audio_encoder_norm
audio_decoder_ffn_expansion_size audio_encoder_ffn_expansion_size token_dropout_error token_dropout_rate
token_dropout_rvq_levels cfg_cond_dropout_p cfg_text_dropout_p cfg_prom_dropout_p lang_cond_dropout_p
use_raw_text_p layerskip layerskip_r layerskip_p_max layerskip_e_scale classifier_offsets
"""  # all but the last are the reference's, which had no key for what it did for some weeks
_KEYS, _EXPERIMENTAL_KEYS = frozenset(_WORDS.split()), frozenset(_EXPERIMENTAL_WORDS.split())
_SUPPORTED = {"causal_size": 1, "predict_causally": False, "monolithic_audio_encoder": False}
"""Keys that change what is computed, and the only value of each that is supported."""
_ENCODEC = ("encodec", "vocos")  # two decoders of the same codes
_DEFAULTS: dict[str, Any] = {
    "audio_embedding_sums": False,
    "unified_position_ids": True,
    "noncausal_masks": False,
}
"""What no tensor shows, beside the number of heads of a size that has no name; the reference's defaults."""


@dataclass(frozen=True)
class Reading:
    """A configuration as read, and what a person should know of how it was read."""

    config: ModelConfig
    remarks: tuple[str, ...] = ()


def read(given: Mapping[str, Any] | None, shapes: Shapes) -> Reading:
    """Make a model's configuration of what a file says, None if it says nothing, and of its tensors' shapes.

    Raises UserError naming what is wrong, what is not supported, or what has to be told.
    """
    if given is None:
        raise UserError(_missing(shapes))
    given = _present(given)
    experimental = given.get("experimental") or {}
    if not isinstance(experimental, Mapping):
        raise UserError("its configuration cannot be understood: experimental is no table")
    _refuse_unsupported(given, experimental, shapes)
    remarks = [*_unknown_keys(given, experimental), *_assumed(experimental)]
    if any(key not in given for key in ("size", "version", "tasks", "langs", "capabilities")):
        remarks.append(f"the tensors tell what the configuration does not: {told(shapes)}")
    version = given.get("version")
    one_vocabulary = HF_EMBEDDINGS in shapes  # which has no place for text
    text = _rows(shapes, "raw_text_emb.weight")
    dim, heads, layers = _size(given.get("size"), shapes)
    split = "classifier.weight" not in shapes
    size = given.get("size")
    sizes: Mapping[str, Any] = size if isinstance(size, Mapping) else {}
    version = _told_version(shapes) if version is None else version
    config = ModelConfig(
        dim=dim,
        layers=layers,
        heads=heads,
        ffn=FFN_FACTOR * dim,
        version=version,
        languages=given.get("langs", _rows(shapes, "langs_emb.weight") or 1),
        tasks=given.get("tasks", _rows(shapes, "tasks_emb.weight") or 8),
        tones=given.get("tones", _rows(shapes, "tones_emb.weight") or 1),
        capabilities=_capabilities(given, shapes, version),
        split_classifiers=split,
        classifiers_bias=("classifiers.proj.0.bias" if split else "classifier.bias") in shapes,
        **flags_of({**_DEFAULTS, **_present(experimental)}),
        task_tokens_counted=False,
        audio_levels=sizes.get("resp_levels", 8),
        audio_tokens=sizes.get("audio_tokens", 1024),
        phoneme_tokens=sizes.get("phoneme_tokens", 256),
        text_tokens=sizes.get("text_tokens", _TEXT_TOKENS) if version >= 6 and not one_vocabulary else text,
        architecture=given.get("arch_type", "llama"),
        attention="auto",
        experts=given.get("experts", 1),
        classifier_size=0 if split else shapes["classifier.weight"][0],
        interleave=experimental.get("interleave", False),
        classifier_offsets=experimental.get("classifier_offsets", False),
        rvq_level_range=tuple(experimental.get("rvq_level_range") or ()),
    )
    _refuse_start_ids(config, shapes)
    return Reading(config, tuple(remarks))


def from_document(document: Any, name: str = "") -> dict[str, Any]:
    """The model's table of a YAML document: of its list `models`, the one of that name or the first.

    A document without `models` is taken as the table itself. Raises UserError where there is none, and for
    models of another codec.
    """
    codec = document.get("audio_backend") if isinstance(document, Mapping) else None
    if codec is not None and codec not in _ENCODEC:
        raise UserError(f"audio_backend {codec!r} is not supported, only {' and '.join(_ENCODEC)} are")
    models = document.get("models", document) if isinstance(document, Mapping) else None
    if isinstance(models, Mapping):
        models = [models]
    tables = [table for table in models or () if isinstance(table, Mapping) and not table.get("teacher")]
    if not tables:
        raise UserError("names no model; write its settings under models:, or at the top")
    return dict(next((table for table in tables if name and table.get("name") == name), tables[0]))


def told(shapes: Shapes) -> str:
    """What the tensors tell of a model, in words."""
    version = _told_version(shapes)
    facts = {
        "dim": shapes.get("sep", (0,))[0],
        "layers": _layers(shapes),
        "langs": _rows(shapes, "langs_emb.weight"),
        "tasks": _rows(shapes, "tasks_emb.weight"),
        "version": version,
        "capabilities": "+".join(_capabilities({}, shapes, version)),
    }
    return ", ".join(f"{key} {value}" for key, value in facts.items())


def _missing(shapes: Shapes) -> str:
    if "sep" not in shapes:
        return "has neither a configuration nor the tensors of such a model (no sep)"
    unknown = [f"experimental.{key}" for key in _DEFAULTS]
    if not _usual_heads(shapes["sep"][0], _layers(shapes)):
        unknown.insert(0, "size.heads")
    return (
        f"has no configuration; its tensors tell {told(shapes)}, but not {', '.join(unknown)}: "
        "write these into a YAML file of the same name beside it"
    )


def _refuse_unsupported(given: Mapping[str, Any], experimental: Mapping[str, Any], shapes: Shapes) -> None:
    if experimental.get("hf") and HF_EMBEDDINGS not in shapes:
        raise UserError(f"hf is true, but there is no tensor {HF_EMBEDDINGS} over its one vocabulary")
    for key, only in _SUPPORTED.items():
        if experimental.get(key, only) not in (only, None):
            raise UserError(f"{key} {experimental[key]!r} is not supported, only {only} is")
    version = given.get("version", VERSIONS[0])
    if version not in VERSIONS:
        known = " and ".join(map(str, VERSIONS))
        raise UserError(f"version {version!r} of the model is not supported, only {known} are")


def _refuse_start_ids(config: ModelConfig, shapes: Shapes) -> None:
    """Refuse a model without AR whose level 0 has no id for the mask."""
    table = "resps_emb.embeddings.0.weight"
    able = config.capabilities
    if "len" in able and "ar" not in able and _rows(shapes, table) == config.audio_tokens:
        raise UserError(
            f"its capabilities are {'+'.join(able)}, and {table} has {config.audio_tokens} rows, none of "
            "them for a mask: such a model starts level 0 from ids that no file names and that differed from "
            "one version of the reference to the next; without ar, only demasked models are supported"
        )


def _unknown_keys(given: Mapping[str, Any], experimental: Mapping[str, Any]) -> list[str]:
    unknown = [
        *sorted(set(given) - _KEYS),
        *(f"experimental.{key}" for key in sorted(set(experimental) - _EXPERIMENTAL_KEYS)),
    ]
    return [f"unknown settings are ignored: {', '.join(unknown)}"] if unknown else []


def _assumed(experimental: Mapping[str, Any]) -> list[str]:
    missing = {key: value for key, value in _DEFAULTS.items() if experimental.get(key) is None}
    shown = ", ".join(f"{key} {str(value).lower()}" for key, value in missing.items())
    return [f"not in the configuration, taken as the reference takes them: {shown}"] if missing else []


def flags_of(experimental: Mapping[str, Any]) -> dict[str, Any]:
    """The three settings that no tensor shows, as a model's config has them. UserError for another value."""
    for key in ("unified_position_ids", "noncausal_masks"):
        if not isinstance(experimental[key], bool):
            raise UserError(f"{key} is {experimental[key]!r}, it must be true or false")
    sums = experimental["audio_embedding_sums"]
    if not isinstance(sums, (bool, str)) or sums not in _SUMS:
        raise UserError(f"audio_embedding_sums is {sums!r}, use true, false, prom or resp")
    return {
        "unified_position_ids": experimental["unified_position_ids"],
        "noncausal_masks": experimental["noncausal_masks"],
        "audio_embedding_sums": _SUMS[sums],
    }


def _present(table: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in table.items() if value is not None}


def _size(size: Any, shapes: Shapes) -> tuple[int, int, int]:
    """Return dim, heads and layers of the setting `size`; the tensors tell what a table leaves out."""
    if isinstance(size, str):
        if size not in _SIZES:
            known = ", ".join(_SIZES)
            raise UserError(f"its configuration cannot be understood: size is {size!r}, known are {known}")
        return _SIZES[size]
    if isinstance(size, (int, float)) and not isinstance(size, bool):
        dim, heads, layers = _SIZES["full"]
        return int(dim * size), int(heads * size), layers
    if size is not None and not isinstance(size, Mapping):
        raise UserError(f"its configuration cannot be understood: size is {size!r}")
    table = size or {}
    dim = table.get("dim") or shapes.get("sep", (0,))[0]
    layers = table.get("layers") or _layers(shapes)
    heads = table.get("heads") or _usual_heads(dim, layers)
    if not heads:
        raise UserError("its configuration does not say size.heads, which no tensor tells")
    return dim, heads, layers


def _usual_heads(dim: int, layers: int) -> int:
    """The heads of a named size with these two numbers, or 0."""
    return next((heads for width, heads, depth in _SIZES.values() if (width, depth) == (dim, layers)), 0)


def _capabilities(given: Mapping[str, Any], shapes: Shapes, version: int) -> tuple[str, ...]:
    """Those that are given, each once; without any, the heads tell whether lengths can be told."""
    if (able := given.get("capabilities")) is not None:
        if not isinstance(able, Sequence) or isinstance(able, str):
            raise UserError(
                f"its configuration cannot be understood: capabilities is {able!r}, it must list them"
            )
        return tuple(dict.fromkeys(able))
    heads = [name for name in shapes if re.fullmatch(r"classifiers\.proj\.\d+\.weight", name)]
    levels = sum(name.startswith("proms_emb.") for name in shapes)
    tables = sum(name.startswith("resps_emb.") for name in shapes)
    if tables == levels and len(heads) == levels + 2:  # phonemes and lengths, and nothing for an AR
        return ("nar", "len")
    codes, later = (_rows(shapes, f"{name}_emb.embeddings.1.weight") for name in ("proms", "resps"))
    if later > codes > 0:  # level 1 has a stop of its own, which only an AR has
        return ("ar",)
    knows_lengths = not heads or len(heads) > levels + 2 + (version >= 6)
    return ("ar", "nar", "len") if knows_lengths else ("ar", "nar")


def _told_version(shapes: Shapes) -> int:
    """6 where the last head answers with text, else 5."""
    heads = sorted(
        (int(found[1]), shape[0])
        for name, shape in shapes.items()
        if (found := re.fullmatch(r"classifiers\.proj\.(\d+)\.weight", name)) and shape
    )
    rows = _rows(shapes, "raw_text_emb.weight")
    return 6 if heads and rows > LENGTH_TOKENS and heads[-1][1] == rows else 5


def _rows(shapes: Shapes, name: str) -> int:
    shape = shapes.get(name)
    return shape[0] if shape else 0


def _layers(shapes: Shapes) -> int:
    numbers = [int(found[1]) for name in shapes if (found := re.match(r"model\.layers\.(\d+)\.", name))]
    return max(numbers, default=-1) + 1
