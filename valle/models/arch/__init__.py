"""Backbones by name: what runs between the embeddings and the heads."""

from __future__ import annotations

from importlib import import_module

from valle.errors import UserError
from valle.models.arch.backbone import Backbone
from valle.models.backbones import BACKBONES, find_backbone
from valle.models.config import ModelConfig

__all__ = ["BACKBONES", "Backbone", "build"]


def build(config: ModelConfig) -> Backbone:
    """Return the backbone that the config names, freshly initialised.

    Raises UserError for a name that does not exist and for a config that asks for what it cannot do.
    """
    backbone = find_backbone(config.architecture)
    if config.experts > 1 and not backbone.experts:
        able = ", ".join(name for name, each in BACKBONES.items() if each.experts)
        raise UserError(f"{backbone.name} has no mixture of experts; leave experts at 1 or take {able}")
    if config.forward_attention and not backbone.attends:
        able = ", ".join(name for name, each in BACKBONES.items() if each.attends)
        raise UserError(f"{backbone.name} has no attention to go forward; leave it out or take {able}")
    module, _, name = backbone.target.partition(":")
    built: Backbone = getattr(import_module(module), name)(config)
    if config.bitnet:
        from valle.models.arch.bitnet import use_bit_linear

        use_bit_linear(built)
    return built
