"""Older files of the reference: other names, and one table and head of the response fewer.

Before the masked level 0 there were as many response tables as levels, and the phonemes' head came right
after those of the levels; without NAR all of them had a row for stop. Models without an AR had no more of
them when they were first demasked: their first table and head are those of the masked level 0. Needs no
torch.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from valle.checkpoints.reference_config import Shapes
from valle.models.config import LENGTH_TOKENS, ModelConfig

WITHOUT_MASKED_LEVEL = "the file is older than the masked level 0: there is no mode nar-len, and no task len"
_PARTS = ("resps_emb.embeddings.{}.weight", "classifiers.proj.{}.weight", "classifiers.proj.{}.bias")
_HEAD = re.compile(r"classifiers\.proj\.(\d+)\.(weight|bias)")


def shapes_of_today(shapes: Shapes) -> dict[str, tuple[int, ...]]:
    """Shapes by the names that all but the heads have today."""
    return {_renamed(name): shape for name, shape in shapes.items()}


def names_of_today(shapes: Shapes, config: ModelConfig) -> dict[str, str]:
    """The tensors of a file: the name of today to that in the file."""
    names = {_renamed(name): name for name in shapes}
    levels = config.audio_levels
    if _has_masked_level(names, config):
        return names
    if _begins_with_masked_level(names, config):
        moved = {_one_further(name, levels): old for name, old in names.items()}
        return moved | {part.format(levels): part.format(0) for part in _PARTS if part.format(0) in shapes}
    if shapes.get(f"classifiers.proj.{levels}.weight", (0,))[0] != config.phoneme_tokens:
        return names
    return {_one_further(name, levels): old for name, old in names.items()}


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


def _begins_with_masked_level(names: Iterable[str], config: ModelConfig) -> bool:
    """Whether the first table and head of a file, by the names of today, are those of the masked level 0.

    They then stay in the first place as well: `stt` reads level 0 from there, and without an AR nothing reads
    that head.
    """
    able = config.capabilities
    return "len" in able and "ar" not in able and not _has_masked_level(names, config)


def _one_further(name: str, levels: int) -> str:
    """The name of a head that comes after those of the levels, with one more before it."""
    head = _HEAD.fullmatch(name)
    return f"classifiers.proj.{int(head[1]) + 1}.{head[2]}" if head and int(head[1]) >= levels else name


def _has_masked_level(names: Iterable[str], config: ModelConfig) -> bool:
    return f"resps_emb.embeddings.{config.audio_levels}.weight" in set(names)


def _renamed(name: str) -> str:
    """What old files call `retnet` is `model` today, as in the reference."""
    return f"model.{name.removeprefix('retnet.')}" if name.startswith("retnet.") else name
