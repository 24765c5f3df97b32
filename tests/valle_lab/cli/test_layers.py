"""Thresholds for leaving early: fitted by hand-made numbers, measured on takes, kept and taken by `say`."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from tiny_model import Say, Tiny, make_tiny

from valle.decoding.speech import speech_inputs
from valle.early_exit import EarlyExit
from valle.errors import UserError
from valle.inference import Engine
from valle.layer_thresholds import fit, fitted, keep, thresholds_file
from valle_lab.cli import main
from valle_lab.session.convert import from_session_take
from valle_lab.session.save import load_session


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Tiny:
    return make_tiny(tmp_path_factory.mktemp("tiny"))


@pytest.fixture
def say(
    tiny: Tiny, capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Say:
    monkeypatch.chdir(tmp_path)
    return Say(tiny, capsys)


def test_thresholds_are_the_highest_that_agree_often_enough() -> None:
    sure = np.linspace(0, 10, 1000).astype(np.float32)
    entropy, varentropy = np.stack([sure, sure]), np.stack([2 * sure, 2 * sure])
    agrees = np.stack([sure < 4, np.zeros(1000, bool)])
    first, second = fit(entropy, varentropy, agrees, 0.8)
    assert first.layer == 1 and first.entropy == pytest.approx(5.0, abs=0.11)
    assert first.varentropy == pytest.approx(2 * first.entropy, abs=0.01)
    assert first.agreement >= 0.8 and first.leaving == pytest.approx(0.5, abs=0.011)
    assert first.agreement_of_all == pytest.approx(0.4, abs=0.001)
    assert (second.entropy, second.varentropy, second.leaving) == (0, 0, 0)
    with pytest.raises(UserError, match="there are 150 decisions; 200 are the least"):
        fit(entropy[:, :150], varentropy[:, :150], agrees[:, :150], 0.8)


def test_kept_thresholds_are_those_of_model_and_layer() -> None:
    exits = EarlyExit(1, 7.0, 8.0)
    assert fitted(exits, "f" * 64) == exits
    values = np.linspace(0, 1, 400).astype(np.float32)[None]
    (found,) = fit(values, values, np.ones((1, 400), bool), 0.9)
    file = keep("f" * 64, [found])
    assert fitted(exits, "f" * 64) == EarlyExit(1, found.entropy, found.varentropy)
    assert fitted(EarlyExit(2), "f" * 64) == EarlyExit(2)
    for damage in ("{", '[{"layer": 1}]', '[{"layer": "one"}]'):
        file.write_text(damage)
        with pytest.raises(UserError, match="is damaged"):
            fitted(exits, "f" * 64)
    file.unlink()


def test_layers_are_measured_on_takes_and_say_takes_what_is_kept(
    say: Say, tiny: Tiny, capsys: pytest.CaptureFixture[str]
) -> None:
    say("--max-duration", "3", "--seed", "1", "--set", "ban_tokens.ids=[1024]", "--out", "long.wav")
    capsys.readouterr()
    assert main(["layers", "long.json", "--agreement", "0.01", "--json", *say.config]) == 0
    (found,) = json.loads(capsys.readouterr().out)
    assert found["layer"] == 1 and 0 < found["leaving"] <= 1
    take = say("--layer-skip", "--layer-skip-exit-layer", "1", "--out", "left.wav")
    recipe = load_session(Path(take["session"])).take().request.recipe
    assert recipe.early_exit is not None and recipe.early_exit.entropy == found["entropy"]
    given = say("--layer-skip", "--layer-skip-exit-layer", "1", "--layer-skip-entropy-threshold", "2")
    recipe = load_session(Path(given["session"])).take().request.recipe
    assert recipe.early_exit is not None and recipe.early_exit.entropy == 2
    thresholds_file(found["model"]).unlink()

    record = load_session(Path("long.json")).take()
    engine = Engine.load(
        str(tiny.model), codec=str(tiny.folder / "codec.safetensors"), device="cpu", threads=1
    )
    recorded = from_session_take(record)
    measures = engine.measure_layers(recorded.request, 0, recorded.segments[0].levels[0])
    assert measures.entropy.shape == (1, recorded.frames + 1)
    assert not any(module._forward_hooks for module in engine.model.modules())
    engine.model.model.layers = engine.model.model.layers[:1]
    with torch.inference_mode():
        inputs = speech_inputs(recorded.request, recorded.request.sentences[0], 0)
        (logits,) = engine.model.full([inputs])
    probability = logits[0].double().softmax(0)
    entropy = -(probability * probability.log2()).sum()
    assert measures.entropy[0, 0] == pytest.approx(float(entropy), rel=1e-3)
    engine.close()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["missing.json"], "missing.json"),
        (["short.json"], "200 are the least"),
        (["short.json", "--agreement", "0"], "must be above 0 and at most 1"),
    ],
)
def test_bad_input(say: Say, capsys: pytest.CaptureFixture[str], arguments: list[str], said: str) -> None:
    say("--out", "short.wav")
    capsys.readouterr()
    assert main(["layers", *arguments, *say.config]) == 2
    assert said in capsys.readouterr().err


def test_attention_backends_are_listed(say: Say, capsys: pytest.CaptureFixture[str]) -> None:
    capsys.readouterr()
    assert main(["attention", "--json", *say.config]) == 0
    found = {each["name"]: each for each in json.loads(capsys.readouterr().out)}
    assert found["sdpa"]["auto"] and found["sdpa"]["usable"]
    assert found["cudnn"]["tested"] == "untested on a device" and not found["cudnn"]["usable"]
    assert found["fused"]["aliases"] == ["fused_attn"]
    assert main(["attention", *say.config]) == 0
    printed = capsys.readouterr()
    assert "auto takes sdpa" in printed.err and "xformers" in printed.out
    assert main(["say", "a", "--attention", "sdpaa", *say.config]) == 2
    assert "did you mean sdpa" in capsys.readouterr().err
