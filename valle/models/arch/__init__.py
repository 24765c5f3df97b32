"""Backbones by name: what runs between the embeddings and the heads."""

from __future__ import annotations

from valle.errors import UserError
from valle.models.arch.llama import Llama
from valle.models.config import ModelConfig

BACKBONES: dict[str, type[Llama]] = {"llama": Llama}


def build(config: ModelConfig) -> Llama:
    """Return the backbone that the config names, freshly initialised.

    Raises UserError for a name that does not exist.
    """
    if config.architecture not in BACKBONES:
        raise UserError(f"unknown architecture {config.architecture!r}; there is {', '.join(BACKBONES)}")
    return BACKBONES[config.architecture](config)
