"""From training states to the files of the package."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from valle.audio.builtin.codec import BuiltinCodec, save_network
from valle.audio.builtin.network import CodecNetwork, CodecShape
from valle.checkpoints.details import CodecName, Details
from valle.checkpoints.native import save
from valle.models.ar_nar import ArNar
from valle.text.tokens import Tokenizer
from valle.training.corpus import ENGLISH
from valle.training.model_recipe import builtin_config

BUILTIN = Path(__file__).parents[1] / "builtin"
GREEDY: list[dict[str, Any]] = [{"name": "greedy"}]
DEFAULT_STACKS: dict[str, list[dict[str, Any]]] = {
    "ar": [{"name": "temperature", "value": 0.9}, {"name": "repetition_aware"}],
    "nar": GREEDY,
    "nar_len": GREEDY,
    "len": GREEDY,
    "stt": GREEDY,
}

LONGEST_SENTENCE = 80
"""Characters that the built-in voice says in one go: in longer texts it loses its place now and then."""


def export_codec(state: dict[str, Any], path: Path, shape: CodecShape | None = None) -> str:
    """Write the codec of a training state; returns its hash."""
    network = CodecNetwork(shape or CodecShape())
    network.load_state_dict(state["network"])
    save_network(network, path)
    return BuiltinCodec.load(path).hash


def export_model(model: ArNar, codec: BuiltinCodec, steps: int, path: Path, notes: str = "") -> str:
    """Write a model that speaks the codec's codes, in float16; returns its hash."""
    details = Details(
        config=model.config,
        codec=CodecName(codec.name, codec.hash),
        symbols=Tokenizer.builtin().to_dict(),
        languages={"en": ENGLISH},
        default_stacks=DEFAULT_STACKS,
        steps=steps,
        notes=notes,
        longest_sentence=LONGEST_SENTENCE,
    )
    return save(path, model, details)


def random_model(seed: int = 0) -> ArNar:
    """A model of the built-in size that has learnt nothing."""
    torch.manual_seed(seed)
    return ArNar(builtin_config())
