"""A model of another backbone from its training to a take that replays."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from tests.valle.training.conftest import speech_shard
from valle.training.__main__ import run
from valle.training.speech import speech_path
from valle_lab.cli import main

SHAPE = "--architecture mamba2 --dim 16 --layers 1 --heads 2 --budget 100 --batches 1 --steps 1 --warmup 1"


def test_a_model_trained_here_speaks_and_replays(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    speech_shard(6).save(speech_path(here, 0))
    place = ["--folder", str(here), "--threads", "1"]
    try:
        run([*place, "model", "--name", "mine", *SHAPE.split()])
    finally:
        torch.set_flush_denormal(False)
    run([*place, "export", "model", "--name", "mine", "--out", "mine.safetensors"])
    capsys.readouterr()
    words = ["Hello there.", "--model", "mine.safetensors", "--max-duration", "0.2", "--seed", "1"]
    assert main(["say", *words, "--out", "a.wav", "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert said["frames"] == 15
    assert len(set(said["codes_sha256"])) == 2  # of level 0, and of seven levels without a frame
    assert main(["replay", "a.json", "--model", "mine.safetensors", "--mode", "exact"]) == 0
    assert main(["say", *words, "--out", "b.wav", "--mode", "nar-len"]) == 2
    assert "ar+nar" in capsys.readouterr().err
    assert not Path("b.wav").exists()
