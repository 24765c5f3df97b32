"""`valle-lab voices` and `valle-lab models`: what there is, what is wrong with it, and what can be added."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from tiny_model import Tiny

from valle.audio import wav
from valle.checkpoints.container import content_hash, read_header
from valle.models.backbones import BACKBONES
from valle.samplers.stages import STAGES
from valle_lab.cli import main


@pytest.fixture
def config(here: Path) -> tuple[str, str]:
    Path("mine.toml").write_text('paths.voices = "voices"\npaths.models = "models"\n')
    Path("models").mkdir()
    return ("--config", "mine.toml")


def listed(capsys: pytest.CaptureFixture[str], *arguments: str) -> list[dict[str, object]]:
    assert main([*arguments, "--json"]) == 0
    found: list[dict[str, object]] = json.loads(capsys.readouterr().out)
    return found


def test_a_voice_is_added_and_listed(
    config: tuple[str, str], here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    wav.write("tone.wav", np.sin(np.arange(24_000) * 0.1).astype(np.float32) * 0.5)
    arguments = ("--name", "tom", "--transcript", "Hello.", "--description", "[red]a tone[/]")
    assert main(["voices", "add", "tone.wav", *arguments, *config]) == 0
    assert capsys.readouterr().out == "tom\n"
    (tom,) = (voice for voice in listed(capsys, "voices", *config) if voice["name"] == "tom")
    assert tom["seconds"] == pytest.approx(1.0, abs=0.05)
    assert (tom["transcript"], tom["language"], tom["phonemes"]) == ("Hello.", "en", "həlˈoʊ.")
    assert main(["voices", *config]) == 0
    assert "[red]a tone[/]" in capsys.readouterr().out


def test_options_before_the_command_reach_the_one_within(
    config: tuple[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    wav.write("tone.wav", np.sin(np.arange(24_000) * 0.1).astype(np.float32) * 0.5)
    assert main([*config, "voices", "--language", "fr", "add", "tone.wav"]) == 0
    capsys.readouterr()
    (tone,) = (voice for voice in listed(capsys, "voices", *config) if voice["name"] == "tone")
    assert tone["language"] == "fr"


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["missing.wav"], "missing.wav"),
        (["silent.wav"], "silent.wav"),
        (["text.wav"], "text.wav"),
        (["tone.wav", "--name", "../out"], "../out"),
        (["tone.wav", "--language", "xx"], "xx"),
        (["tone.wav", "--transcript", "..."], "no sound"),
        ([], "FILE"),
    ],
)
def test_what_cannot_be_a_voice(
    arguments: list[str], says: str, config: tuple[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    wav.write("tone.wav", np.sin(np.arange(24_000) * 0.1).astype(np.float32) * 0.5)
    wav.write("silent.wav", np.zeros(24_000, np.float32))
    Path("text.wav").write_text("not a sound")
    assert main(["voices", "add", *arguments, *config]) == 2
    printed = capsys.readouterr()
    assert says in printed.err
    assert printed.out == ""
    assert len(printed.err.splitlines()) <= 2
    assert not Path("voices/voices.toml").exists()


def test_a_recording_that_is_gone_does_not_hide_the_other_voices(
    config: tuple[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    wav.write("voices/here.wav", np.sin(np.arange(24_000) * 0.1).astype(np.float32) * 0.5)
    tables = (f'[[voice]]\nname = "{name}"\nfile = "{name}.wav"\n' for name in ("gone", "here"))
    Path("voices/voices.toml").write_text("".join(tables))
    seconds = {voice["name"]: voice["seconds"] for voice in listed(capsys, "voices", *config)}
    assert seconds["gone"] is None
    assert seconds["here"] == 1.0
    assert main(["voices", *config]) == 0
    assert "cannot be read" in capsys.readouterr().out


def test_models_are_listed_with_what_they_are(
    config: tuple[str, str], tiny: Tiny, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copy(tiny.model, "models/small.safetensors")
    Path("models/broken.sft").write_text("no model")
    found = {model["name"]: model for model in listed(capsys, "models", *config)}
    assert next(iter(found)) == "builtin"
    small = found["small"]
    assert small["sha256"] == content_hash(tiny.model, read_header(tiny.model))
    assert (small["languages"], small["codec"], small["problem"]) == (["en"], "builtin-1", None)
    assert "cannot be used" in str(found["broken"]["problem"])
    assert small["backbone"] == "llama"
    assert main(["models", *config]) == 0
    printed = capsys.readouterr().out
    assert "small" in printed
    assert [line.split()[0] for line in printed.splitlines()[-len(BACKBONES) :]] == list(BACKBONES)


def test_backbones_are_listed_with_what_they_can_do(capsys: pytest.CaptureFixture[str]) -> None:
    found = {backbone["name"]: backbone for backbone in listed(capsys, "models", "--backbones")}
    assert set(found) == set(BACKBONES)
    assert found["llama"]["limits"] == []
    limits = found["mamba"]["limits"]
    assert isinstance(limits, list)
    assert [limit.partition(":")[0] for limit in limits] == [
        "reads from left to right only",
        "has no attention",
    ]
    assert main(["models", "--backbones"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == len(BACKBONES) + 1
    assert lines[1].split()[:4] == ["llama", "yes", "yes", "no"]


def test_a_model_in_the_models_folder_goes_by_its_name(
    config: tuple[str, str], tiny: Tiny, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copy(tiny.model, "models/small.safetensors")
    more = (
        "--codec",
        str(tiny.folder / "codec.safetensors"),
        "--voice",
        str(tiny.folder / "voices" / "hum.wav"),
    )
    assert (
        main(["say", "Hi.", "--model", "small", "--max-duration", "0.1", "--out", "a.wav", *more, *config])
        == 0
    )


def test_a_check_says_what_is_odd_beside_its_stage(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    stages = '[{name = "top_k", k = 9}, {name = "repetition_penalty"}, {name = "xtc", on = false}, '
    Path("stack.toml").write_text(f'ar = {stages}{{name = "draw"}}]\n')
    assert main(["samplers", "--check", "stack.toml"]) == 0
    lines = capsys.readouterr().out.splitlines()
    penalty = next(at for at, line in enumerate(lines) if line.startswith("  repetition_penalty"))
    assert lines[penalty + 1].startswith("    - cannot bring back what top_k has cut")
    assert [line.split()[0] for line in lines if line.endswith("(off)")] == ["xtc"]
    (remark,) = listed(capsys, "samplers", "--check", "stack.toml")
    assert (remark["list"], remark["stage"]) == ("ar", "repetition_penalty")


def test_presets_are_listed_and_shown_in_full(capsys: pytest.CaptureFixture[str]) -> None:
    found = {str(preset["name"]): preset for preset in listed(capsys, "presets")}
    assert found["zonos"]["mode"] == "ar+nar"
    assert listed(capsys, "presets", "zonos") == [found["zonos"]]
    assert main(["presets"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines[1:]] == sorted(found)
    assert main(["presets", "zonos"]) == 0
    shown = capsys.readouterr().out
    for words in (
        "from sampling.py",
        "DAC codes at 86 Hz",
        "penalty=3.0 window=2",
        "guidance scale=2.0",
    ):
        assert words in shown


def test_a_preset_that_is_not_there(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["presets", "zonoz"]) == 2
    printed = capsys.readouterr()
    assert 'the nearest is "zonos"' in printed.err
    assert (printed.out, len(printed.err.splitlines())) == ("", 1)


def test_a_preset_can_be_checked_as_a_stack(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (zonos,) = listed(capsys, "presets", "zonos")
    Path("stack.json").write_text(json.dumps(zonos["stacks"]))
    assert listed(capsys, "samplers", "--check", "stack.json") == []


def test_the_samplers_are_listed_in_lines_that_fit(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["samplers"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) <= 80
    assert [line.split()[0] for line in lines if not line.startswith(" ")] == list(STAGES)
    at = next(number for number, line in enumerate(lines) if line.startswith("top_p "))
    assert lines[at] == "top_p (truncation) p=0.95 rule=reach"
    assert lines[at + 1] == "    Keeps the most likely ids until their probabilities reach p."
