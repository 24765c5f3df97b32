"""A published model from `say` to an identical replay; and what may be wrong with one, in a line each."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from random_encodec import write_weights
from safetensors.torch import load_file

from valle.audio import wav
from valle_lab.cli import main
from valle_lab.session.save import load_session
from valle_lab.worker.inprocess import InProcessWorker
from valle_lab.worker.messages import ModelChoice

PARITY = Path(__file__).parents[2] / "data" / "parity"
RELEASED = PARITY / "a_released" / "model.sft"
IDS = [1, 22, 111, 100, 4, 37, 115, 169, 11, 2]
SHORT = ("--max-duration", "0.16", "--seed", "3", "--threads", "1", "--device", "cpu")


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_weights(tmp_path_factory.mktemp("torch") / "hub" / "checkpoints")


@pytest.fixture
def cached(weights: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The weights lie where torch's hub keeps them, under the name that the package gives them."""
    monkeypatch.setattr("valle.audio.weights.FILE_NAME", weights.name)
    monkeypatch.setenv("TORCH_HOME", str(weights.parents[2]))


@pytest.mark.usefixtures("cached")
def test_from_say_to_an_identical_replay(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    voice = here / "voice.wav"
    wav.write(voice, np.random.default_rng(1).normal(0.0, 0.1, 12000).astype(np.float32))
    options = ["--model", str(RELEASED), "--voice", str(voice), *SHORT]
    assert main(["say", "Hello world.", *options, "--out", "a.wav", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["frames"] == 12
    take = load_session("a.json").take()
    assert (take.origin.model.name, take.origin.codec.name) == ("model.sft", "encodec")
    assert take.request.sentences[0].ids.values().tolist() == IDS
    assert len(wav.read("a.wav", silent_ok=True)) == 12 * 320

    assert main(["replay", "a.json", "--model", str(RELEASED), "--mode", "exact"]) == 0
    assert main(["convert", str(RELEASED), "kept/mine.safetensors"]) == 0
    (here / "lab.toml").write_text('[paths]\nmodels = "kept"\n')
    capsys.readouterr()
    assert main(["replay", "a.json"]) == 0, "its tensors are the same in our own format, and so is its hash"
    assert "identical" in capsys.readouterr().out
    shutil.copytree(PARITY / "e_hf_layout" / "hf", here / "kept" / "folder")
    options = ["--model", "folder", "--voice", str(voice), *SHORT]
    assert main(["say", "Hello.", *options, "--out", "b.wav"]) == 0
    assert "taken as stock Llama has them" in capsys.readouterr().err
    assert main(["models", "--json"]) == 0
    listed = json.loads(capsys.readouterr().out)
    assert [model["name"] for model in listed] == ["builtin", "folder", "mine"]


@pytest.mark.usefixtures("cached")
def test_the_worker_says_what_was_assumed(here: Path) -> None:
    worker = InProcessWorker()
    try:
        choice = ModelChoice(str(PARITY / "e_hf_layout" / "hf"), device="cpu", threads=1)
        description = worker.load(choice).result()
    finally:
        worker.close()
    assert description.codec == "encodec"
    assert "config.json does not say" in description.remarks[0]


def told(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    """What a command that cannot be done says, two lines at most."""
    assert main(["say", "Hello.", *SHORT, *arguments]) == 2
    error = capsys.readouterr().err.strip()
    assert error.count("\n") < 2 and "Traceback" not in error
    return error


def test_what_may_be_wrong(here: Path, weights: Path, capsys: pytest.CaptureFixture[str]) -> None:
    released = str(RELEASED)
    error = told(capsys, "--model", released)
    assert "encodec_24khz-d7cc33bc.th" in error and "--codec" in error and "hub/checkpoints" in error
    assert "is not the one that the model speaks" in told(capsys, "--model", released, "--codec", "builtin")
    assert "is not the one that the model speaks" in told(capsys, "--codec", str(weights))
    assert "nothing.sft" in told(capsys, "--model", "nothing.sft")
    assert "hf:OWNER/NAME" in told(capsys, "--model", "hf:nothing")
    (here / "short.sft").write_bytes(RELEASED.read_bytes()[:100_000])
    assert "short.sft" in told(capsys, "--model", "short.sft", "--codec", str(weights))
    torch.save({"module": load_file(RELEASED)}, here / "bare.pth")
    error = told(capsys, "--model", "bare.pth", "--codec", str(weights))
    assert "size.heads" in error and "dim 32, layers 3, langs 6" in error
    (here / "bare.yaml").write_text("size: {heads: 4}\nexperimental: {audio_embedding_sums: true}")
    error = told(capsys, "--model", "bare.pth", "--codec", str(weights))
    assert "bare.pth lacks its tokenizer" in error and "--tokenizer" in error


@pytest.mark.usefixtures("cached")
def test_a_tokenizer_by_name_and_a_forced_codec(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    torch.save({"module": load_file(RELEASED)}, here / "bare.pth")
    (here / "bare.yaml").write_text("size: {heads: 4}\nexperimental: {audio_embedding_sums: true}")
    tokenizer = str(PARITY / "e_hf_layout" / "hf" / "tokenizer.json")
    options = ["--model", "bare.pth", "--tokenizer", tokenizer, "--codec", "builtin", "--force-codec", *SHORT]
    assert main(["say", "Hello world.", *options, "--out", "a.wav"]) == 0
    take = load_session("a.json").take()
    assert take.request.sentences[0].ids.values().tolist() == IDS
    assert take.origin.codec.name == "builtin-1"
    assert main(["replay", "a.json", *options[: -len(SHORT)]]) == 0
