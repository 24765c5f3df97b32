"""Older files of the reference: other names, and no masked level 0.

Before that level there were as many response tables as levels, and the phonemes' head came right after those
of the levels. Needs no torch.
"""

from __future__ import annotations

from collections.abc import Iterable

from valle.checkpoints.reference_config import Shapes
from valle.models.config import LENGTH_TOKENS, ModelConfig

WITHOUT_MASKED_LEVEL = "the file is older than the masked level 0: there is no mode nar-len, and no task len"


def shapes_of_today(shapes: Shapes) -> dict[str, tuple[int, ...]]:
    """Shapes by the names that all but the heads have today."""
    return {_renamed(name): shape for name, shape in shapes.items()}


def names_of_today(shapes: Shapes, config: ModelConfig) -> dict[str, str]:
    """The tensors of a file: the name of today to that in the file."""
    names = {_renamed(name): name for name in shapes}
    levels = config.audio_levels
    weight = f"classifiers.proj.{levels}.weight"
    if _has_masked_level(names, config) or shapes.get(weight, (0,))[0] != config.phoneme_tokens:
        return names
    for kind in ("weight", "bias"):
        if (old := f"classifiers.proj.{levels}.{kind}") in names:
            names[f"classifiers.proj.{levels + 1}.{kind}"] = names.pop(old)
    return names


def made_of_nothing(names: Iterable[str], config: ModelConfig) -> dict[str, tuple[int, ...]]:
    """What the model has and such a file does not: names and shapes of tensors that nothing will read."""
    known = set(names)
    if _has_masked_level(known, config) or "len" in config.capabilities:
        return {}
    levels, codes, dim = config.audio_levels, config.audio_tokens, config.dim
    wanted: dict[str, tuple[int, ...]] = {
        f"resps_emb.embeddings.{levels}.weight": (codes + 1, dim),
        "len_emb.weight": (LENGTH_TOKENS, dim),
    }
    if config.split_classifiers:
        wanted[f"classifiers.proj.{levels}.weight"] = (codes, dim)
        if config.classifiers_bias:
            wanted[f"classifiers.proj.{levels}.bias"] = (codes,)
    return {name: shape for name, shape in wanted.items() if name not in known}


def _has_masked_level(names: Iterable[str], config: ModelConfig) -> bool:
    return f"resps_emb.embeddings.{config.audio_levels}.weight" in set(names)


def _renamed(name: str) -> str:
    """What old files call `retnet` is `model` today, as in the reference."""
    return f"model.{name.removeprefix('retnet.')}" if name.startswith("retnet.") else name
