"""A model, a codec and a voice that are small and know nothing, in the files that the real ones come in."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from valle.audio import wav
from valle_lab.cli import main

TEXT = "Hello there."
DRAW: list[dict[str, Any]] = [{"name": "top_k", "k": 50}, {"name": "temperature"}, {"name": "draw"}]


@dataclass(frozen=True)
class Tiny:
    """Where the files are."""

    folder: Path

    @property
    def model(self) -> Path:
        return self.folder / "model.safetensors"

    @property
    def config(self) -> Path:
        """Settings that choose them."""
        return self.folder / "tiny.toml"


def make_tiny(folder: Path) -> Tiny:
    """Write a random model, its codec, another codec, a voice, and settings; the same each time."""
    import torch

    from valle.audio.builtin.codec import BuiltinCodec, save_network
    from valle.audio.builtin.network import CodecNetwork, CodecShape
    from valle.checkpoints import native
    from valle.models.ar_nar import ArNar
    from valle.models.config import ModelConfig
    from valle.text.tokens import Tokenizer

    tiny = Tiny(folder)
    torch.manual_seed(0)
    shape = CodecShape(width=32, latent=16, pitch_width=16, encoder_blocks=1)
    for name in ("codec", "other_codec"):
        save_network(CodecNetwork(shape), folder / f"{name}.safetensors")
    codec = BuiltinCodec.load(folder / "codec.safetensors")
    config = ModelConfig(dim=32, layers=2, heads=2, ffn=64)
    details = native.Details(
        config,
        native.CodecName(codec.name, codec.hash),
        Tokenizer.builtin().to_dict(),
        {"en": 0},
        {"ar": DRAW, "nar": [{"name": "greedy"}]},
    )
    native.save(tiny.model, ArNar(config), details)
    tone = np.sin(np.arange(36_000) * 0.05).astype(np.float32) * 0.3
    wav.write(folder / "voices" / "hum.wav", tone)
    (folder / "voices" / "voices.toml").write_text(
        '[[voice]]\nname = "hum"\nfile = "hum.wav"\nlanguage = "en"\n'
    )
    tiny.config.write_text(
        f"model = {json.dumps(str(tiny.model))}\n"
        f"codec = {json.dumps(str(folder / 'codec.safetensors'))}\n"
        f"paths.voices = {json.dumps(str(folder / 'voices'))}\n"
        'voice = "hum"\nthreads = 1\nmax_duration = 0.4\ndevice = "cpu"\n'
    )
    return tiny


class Say:
    """`valle-lab say` with the small model."""

    def __init__(self, tiny: Tiny, capsys: pytest.CaptureFixture[str]) -> None:
        self.config = ("--config", str(tiny.config))
        self._capsys = capsys

    def __call__(self, *arguments: str, text: str = TEXT) -> dict[str, Any]:
        """Say it, and give the JSON document."""
        self._capsys.readouterr()
        assert main(["say", text, "--json", *self.config, *arguments]) == 0
        document: dict[str, Any] = json.loads(self._capsys.readouterr().out)
        return document

    def refused(self, *arguments: str, text: str = TEXT) -> str:
        """What it complained about, in a line or two, having written nothing."""
        before = set(Path().rglob("*"))
        assert main(["say", text, *self.config, *arguments]) == 2
        printed = self._capsys.readouterr()
        assert printed.out == ""
        assert "Traceback" not in printed.err
        assert 1 <= len(printed.err.splitlines()) <= 2
        assert [file for file in Path().rglob("*") if file not in before and file.is_file()] == []
        return printed.err
