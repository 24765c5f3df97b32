"""Two processes that train together make the steps that one makes alone."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

import torch

from tests.valle.training.conftest import speech_shard
from valle.training.__main__ import run
from valle.training.runs import Run
from valle.training.speech import speech_path

WORDS = (
    "--dim 16 --layers 1 --heads 2 --budget 150 --batches 4 --steps 3 --warmup 1 --precision float32 "
    "--architecture mixtral --experts 3 --device cpu"
)


def free_port() -> str:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return str(taken.getsockname()[1])


def test_two_processes_take_the_steps_of_one(tmp_path: Path) -> None:
    """Started as torchrun starts them: by what stands in the environment."""
    speech_shard(12).save(speech_path(tmp_path, 0))
    place = ["--folder", str(tmp_path), "--threads", "1", "model"]
    meeting = {"WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": free_port()}
    both = [
        subprocess.Popen(
            [sys.executable, "-m", "valle.training", *place, "--name", "two", *WORDS.split()],
            env={**os.environ, **meeting, "RANK": rank, "LOCAL_RANK": rank, "OMP_NUM_THREADS": "1"},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for rank in "01"
    ]
    run([*place, "--name", "one", *WORDS.split()])
    printed = [process.communicate(timeout=240)[0] for process in both]
    assert [process.returncode for process in both] == [0, 0], printed
    alone, together = (Run(tmp_path / name).load() for name in ("one", "two"))
    assert alone is not None
    assert together is not None
    assert alone["step"] == together["step"] == 3
    for name, weight in alone["model"].items():
        assert torch.allclose(weight, together["model"][name], atol=1e-4), name
    moved = alone["model"]["classifiers.proj.0.weight"] - alone["average"]["classifiers.proj.0.weight"]
    assert moved.abs().max() > 1e-4
