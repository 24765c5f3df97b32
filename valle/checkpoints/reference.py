"""Files of e-c-k-e-r/vall-e (`.sft`, `.pth`): the same tensors, and its own configuration beside them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from valle.checkpoints.container import Header
from valle.checkpoints.details import CodecName, Details, Original
from valle.checkpoints.reference_config import LANGUAGES, Shapes, read
from valle.errors import UserError
from valle.models.config import ModelConfig
from valle.text.merges import derive
from valle.text.symbols import SPECIALS

CODEC = "encodec"
_READ = ("config", "stats", "userdata")
_GREEDY: list[dict[str, Any]] = [{"name": "greedy"}]
STACKS: dict[str, list[dict[str, Any]]] = {
    "ar": [{"name": "temperature", "value": 1.0}, {"name": "draw"}],
    "nar": _GREEDY,
    "nar_len": [
        {"name": "guidance", "scale": 3.0, "rescale": 0.75, "rescale_over": "sequence"},
        {"name": "greedy"},
    ],
    "len": _GREEDY,
    "stt": _GREEDY,
    "phn": _GREEDY,
    "un_phn": _GREEDY,
}
"""How the reference decodes where nothing is asked for."""


@dataclass(frozen=True)
class Said:
    """What a file says of its model; `remarks` are for people, on how it was understood."""

    details: Details
    remarks: tuple[str, ...] = ()


def read_metadata(path: Path, header: Header) -> dict[str, Any]:
    """The metadata of a file as values; what is not JSON is a text. UserError for damage."""
    values: dict[str, Any] = {}
    for key, text in header.metadata.items():
        try:
            values[key] = json.loads(text)
        except (ValueError, RecursionError) as error:
            if key in _READ:
                raise UserError(f"{path}: its metadata is damaged; fetch or export it again") from error
            values[key] = text
    return values


def interpret(
    path: Path,
    metadata: Mapping[str, Any],
    shapes: Shapes,
    config: Mapping[str, Any] | None = None,
    texts: Mapping[str, str] | None = None,
) -> Said:
    """Make details of a file's metadata; `config` is one that stands elsewhere, and goes before it.

    `texts` is the metadata as it was written. Raises UserError naming the file.
    """
    own = metadata.get("config")
    if own is not None and not isinstance(own, Mapping):
        raise UserError(f"{path}: its configuration is no table; fetch or export it again")
    given = {**(own or {}), **(config or {})} or None
    stats, userdata = (metadata.get(key) or {} for key in ("stats", "userdata"))
    try:
        reading = read(given, shapes)
        symbols = {str(symbol): int(number) for symbol, number in (userdata.get("symmap") or {}).items()}
        steps = int(stats.get("global_step", 0))
    except UserError as error:
        raise UserError(f"{path}: {error}") from error
    except (KeyError, TypeError, ValueError, AttributeError, IndexError, OverflowError) as error:
        raise UserError(f"{path}: its configuration cannot be understood: {error}") from error
    languages = {code: row for row, code in enumerate(LANGUAGES[: reading.config.languages])}
    details = Details(
        config=reading.config,
        codec=CodecName(CODEC),
        symbols=symbols,
        languages=languages,
        default_stacks=STACKS,
        steps=steps,
        notes=str((given or {}).get("name", "")),
        merges=derive(symbols, SPECIALS) if symbols else None,
        original=Original("reference", tuple((texts or {}).items())),
    )
    return Said(details, reading.remarks)


def metadata_of(details: Details) -> dict[str, str]:
    """The metadata of a `.sft` file: what the model's own file said, or what the reference has to know."""
    if details.original is not None and details.original.format == "reference" and details.original.texts:
        return dict(details.original.texts)
    config = details.config
    sums = {"both": True, "none": False, "prompt": "prom", "response": "resp"}[config.audio_embedding_sums]
    experimental = {
        "hf": config.hf,
        "interleave": config.interleave,
        "split_classifiers": config.split_classifiers,
        "audio_embedding_sums": sums,
        "rvq_level_range": list(config.rvq_level_range),
        "unified_position_ids": config.unified_position_ids,
        "causal_size": 1,
        "noncausal_masks": config.noncausal_masks,
        "classifiers_bias": config.classifiers_bias,
        **({"classifier_offsets": True} if config.classifier_offsets else {}),
    }
    size = {
        "dim": config.dim,
        "heads": config.heads,
        "layers": config.layers,
        "ffn": config.ffn // config.dim,
        "resp_levels": config.audio_levels,
        "audio_tokens": config.audio_tokens,
        "phoneme_tokens": config.phoneme_tokens,
        **({"text_tokens": config.text_tokens} if config.text_tokens else {}),
    }
    document = {
        "name": details.notes or "ar+nar-len",
        "version": config.version,
        "size": size,
        "tasks": config.tasks,
        "langs": config.languages,
        "tones": config.tones,
        "experts": config.experts,
        "arch_type": config.architecture,
        "capabilities": list(config.capabilities),
        "experimental": experimental,
    }
    values: dict[str, Any] = {
        "config": document,
        "stats": {"global_step": details.steps},
        "userdata": {"symmap": dict(details.symbols)},
    }
    return texts_of(values)


def lost(details: Details) -> list[str]:
    """What a `.sft` file cannot say about a model, and its reader would get wrong."""
    found = []
    config = details.config
    if config.ffn != 4 * config.dim:
        found.append(f"the width {config.ffn} of the gated layers: the reference takes {4 * config.dim}")
    if config.task_tokens_counted:
        found.append("positions that count task tokens: the reference overlooks them")
    if details.codec.name != CODEC:
        found.append(f"the codec {details.codec.name}: the reference takes EnCodec")
    if details.merges is None and details.symbols:
        found.append("that symbols are found by longest match: the reference merges")
    return found + only_here(config)


def only_here(config: ModelConfig) -> list[str]:
    """What other programs compute otherwise, whatever the format of the file."""
    found = []
    if config.bitnet:
        found.append("that the linear layers are ternary: others take their weights as they are")
    if config.forward_attention:
        layers = ", ".join(str(layer) for layer in config.forward_attention)
        found.append(f"the forward attention of layer {layers}: others attend to all of the text")
    return found


def texts_of(metadata: Mapping[str, Any]) -> dict[str, str]:
    """Metadata as a `.sft` file has it: every value as JSON; what JSON cannot say is its text."""
    return {
        str(key): json.dumps(value, ensure_ascii=False, separators=(",", ":"), default=str)
        for key, value in metadata.items()
    }
