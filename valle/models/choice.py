"""Which class of model a configuration asks for."""

from __future__ import annotations

from valle.models.ar import Interleaved
from valle.models.ar_nar import ArNar
from valle.models.config import ModelConfig


def model_of(config: ModelConfig) -> ArNar:
    """The model of a configuration, with fresh weights.

    A model of level 0 alone and one without AR are an ArNar too: their capabilities say which phases they
    have. Raises UserError for a configuration that cannot be built.
    """
    return Interleaved(config) if config.interleave else ArNar(config)
