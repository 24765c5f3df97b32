"""Files of e-c-k-e-r/vall-e (`.sft`): the same tensors, with its own configuration in the metadata."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from valle.checkpoints.container import Header, read_header
from valle.checkpoints.details import CodecName, Details
from valle.errors import UserError
from valle.models.config import EmbeddingSums, ModelConfig

if TYPE_CHECKING:
    import torch

    from valle.checkpoints.loading import LoadedModel

_LANGUAGES = ("en", "ja", "de", "fr", "zh", "ko")
_FFN_FACTOR = 4  # its files may say otherwise, its code does not listen
_SIZES = {
    "quarter": (256, 4, 12),
    "half": (512, 8, 12),
    "full": (1024, 16, 12),
    "double": (1024, 16, 24),
    "extended": (1024, 16, 16),
}
_SUMS: dict[object, EmbeddingSums] = {True: "both", False: "none", "prom": "prompt", "resp": "response"}
_GREEDY: list[dict[str, Any]] = [{"name": "greedy"}]
_STACKS: dict[str, list[dict[str, Any]]] = {
    "ar": [{"name": "temperature", "value": 1.0}, {"name": "draw"}],
    "nar": _GREEDY,
    "len": _GREEDY,
    "stt": _GREEDY,
    "phn": _GREEDY,
    "un_phn": _GREEDY,
}


def read_details(path: Path) -> Details:
    """Read what a `.sft` file says about its model, without a tensor and without torch.

    Raises UserError for a file that is unreadable, has no configuration, or asks for what is not supported.
    """
    return _details(path, read_header(path))


def load(path: Path, device: torch.device | str = "cpu", dtype: torch.dtype | None = None) -> LoadedModel:
    """Load a `.sft` file, in float32 unless `dtype` says otherwise (the heads are float32 always).

    Raises UserError as `read_details` does, and for a tensor that is missing, unknown or of another shape.
    """
    from valle.checkpoints.loading import load_tensors

    header = read_header(path)
    return load_tensors(path, header, _details(path, header), device, dtype)


def _details(path: Path, header: Header) -> Details:
    try:
        config, stats, userdata = (
            json.loads(header.metadata.get(key, "{}")) for key in ("config", "stats", "userdata")
        )
    except (ValueError, RecursionError) as error:
        raise UserError(f"{path}: its metadata is damaged; fetch or export it again") from error
    if not isinstance(config, dict) or not config:
        raise UserError(f"{path}: has no configuration in its metadata")
    try:
        parsed = _config(config, header)
        languages = {code: row for row, code in enumerate(_LANGUAGES[: parsed.languages])}
        symbols = {str(symbol): int(number) for symbol, number in userdata.get("symmap", {}).items()}
        steps = int(stats.get("global_step", 0))
    except UserError as error:
        raise UserError(f"{path}: {error}") from error
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise UserError(f"{path}: its configuration cannot be understood: {error}") from error
    return Details(
        parsed, CodecName("encodec"), symbols, languages, _STACKS, steps, str(config.get("name", ""))
    )


def _config(config: Mapping[str, Any], header: Header) -> ModelConfig:
    experimental = config.get("experimental", {})
    if experimental.get("causal_size", 1) != 1:
        raise UserError(f"causal_size {experimental['causal_size']} is not supported, only 1 is")
    dim, heads, layers = _size(config.get("size", "full"))
    tensors = header.tensors
    text = tensors.get("raw_text_emb.weight")
    split = "classifier.weight" not in tensors
    return ModelConfig(
        dim=dim,
        layers=layers,
        heads=heads,
        ffn=_FFN_FACTOR * dim,
        version=config.get("version", 5),
        languages=config.get("langs", len(_LANGUAGES)),
        tasks=config.get("tasks", 9),
        tones=config.get("tones", 1),
        capabilities=tuple(dict.fromkeys(config.get("capabilities", ("ar", "nar", "len")))),
        split_classifiers=split,
        classifiers_bias=("classifiers.proj.0.bias" if split else "classifier.bias") in tensors,
        audio_embedding_sums=_SUMS[experimental.get("audio_embedding_sums", True)],
        unified_position_ids=experimental.get("unified_position_ids", False),
        noncausal_masks=experimental.get("noncausal_masks", True),
        task_tokens_counted=False,
        text_tokens=text.shape[0] if text else 0,
        architecture=config.get("arch_type", "llama"),
        attention="auto",
    )


def _size(size: Any) -> tuple[int, int, int]:
    """Return dim, heads and layers."""
    if isinstance(size, str):
        return _SIZES[size]
    return size["dim"], size["heads"], size["layers"]
