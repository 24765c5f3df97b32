"""Presets: each is a stack that can be used, and says where it comes from."""

from __future__ import annotations

import subprocess
import sys
import tomllib
from typing import Any

import pytest

from valle.errors import UserError
from valle.samplers.lint import lint
from valle.samplers.presets import FOLDER, MODES, find_preset, preset_names, presets

AS_PUBLISHED: dict[str, dict[str, dict[str, Any]]] = {
    "orpheus": {
        "ar": {"temperature.value": 0.6, "top_p.p": 0.8, "repetition_penalty.penalty": 1.3},
    },
    "zonos": {
        "ar": {"min_p.p": 0.1, "repetition_penalty.penalty": 3.0, "repetition_penalty.window": 2},
        "nar": {"min_p.p": 0.1},
    },
    "outetts": {
        "ar": {
            "temperature.value": 0.4,
            "top_k.k": 40,
            "top_p.p": 0.9,
            "min_p.p": 0.05,
            "repetition_penalty.penalty": 1.1,
            "repetition_penalty.window": 64,
        }
    },
    "bark": {"ar": {"temperature.value": 0.7}, "nar": {"temperature.value": 0.5}},
    "llama3": {"ar": {"temperature.value": 0.6, "top_p.p": 0.9, "top_p.rule": "llama3"}},
    "cosyvoice": {
        "ar": {
            "repetition_aware.top_p": 0.8,
            "repetition_aware.top_k": 25,
            "repetition_aware.window": 10,
            "repetition_aware.threshold": 0.1,
        }
    },
    "chatterbox": {"ar": {"guidance.scale": 1.5, "temperature.value": 0.8}},
    "dia": {"ar": {"guidance.scale": 4.0, "guidance.candidates": 45, "guidance.blend": 0.0}},
    "guided-text": {"ar": {"guidance.scale": 3.0, "guidance.blend": 0.7, "top_p.p": 0.95}},
    "moshi": {"ar": {"temperature.value": 0.8, "top_k.k": 250}},
    "vall-e-x": {"ar": {"best_of.count": 5, "best_of.score": "mean"}},
    "vall-e-2": {"ar": {"repetition_aware.window": 10, "repetition_aware.threshold": 0.1}},
    "dualcodec-valle": {"ar": {"top_k.k": 15, "top_p.p": 0.85, "repetition_penalty.penalty": 1.1}},
    "voicecraft": {"ar": {"top_k.k": 40}},
    "fish-speech": {"ar": {"temperature.value": 0.8, "repetition_aware.top_k": 30}},
    "higgs-audio": {"ar": {"temperature.value": 0.7, "repetition_aware.window": 7}},
    "llasa": {"ar": {"temperature.value": 0.8, "repetition_penalty.penalty": 1.2}},
    "sesame-csm": {"ar": {"temperature.value": 0.9, "top_k.k": 50}},
    "xtts": {"ar": {"temperature.value": 0.75, "top_k.k": 50, "top_p.p": 0.85}},
    "tortoise": {"ar": {"temperature.value": 0.8, "top_p.p": 0.8, "repetition_penalty.penalty": 2.0}},
    "indextts2": {"ar": {"temperature.value": 0.8, "top_k.k": 30, "repetition_penalty.penalty": 10.0}},
    "gpt-sovits": {"ar": {"top_k.k": 15, "repetition_penalty.penalty": 1.35}},
    "spark-tts": {"ar": {"temperature.value": 0.8, "top_k.k": 50, "top_p.p": 0.95}},
    "qwen3-tts": {"ar": {"temperature.value": 0.9, "top_k.k": 50, "repetition_penalty.penalty": 1.05}},
    "kyutai-tts": {"ar": {"temperature.value": 0.6, "top_k.k": 250}},
    "musicgen": {"ar": {"guidance.scale": 3.0, "top_k.k": 250}},
    "magnet": {"nar_len": {"top_p.p": 0.9}},
    "maskgct": {"nar_len": {"guidance.scale": 3.5, "guidance.rescale": 0.75}},
    "parler": {"ar": {"minimum_length.steps": 10}},
    "zonos-interface": {"ar": {"unified.linear": 0.5, "unified.confidence": 0.4}},
}
NO_SETTINGS = {"lifeiteng", "reference", "vibevoice"}
"""Systems whose level 0 is a plain draw, or greedy."""


def test_every_preset_says_where_its_values_come_from() -> None:
    for preset in presets():
        assert preset.mode in MODES
        assert preset.title and preset.tokens and preset.source and preset.notes
        first = "nar_len" if preset.mode == "nar-len" else "ar"
        assert next(iter(preset.stack.lists)) == first


def test_every_system_has_its_preset() -> None:
    """Those of the table of 30 systems, llama3's function, and the authors of the paper on guidance."""
    assert set(preset_names()) >= {*AS_PUBLISHED, *NO_SETTINGS}


def test_a_file_holds_nothing_that_is_not_read() -> None:
    for file in FOLDER.glob("*.toml"):
        keys = {"title", "mode", "tokens", "source", "notes", "stacks"}
        assert set(tomllib.loads(file.read_text(encoding="utf-8"))) == keys, file.name


def test_only_a_low_temperature_is_odd_about_a_preset() -> None:
    """Nothing idle, nothing in an order that cannot work; low temperatures are what the systems have."""
    for preset in presets():
        assert [item.text for item in lint(preset.stack) if "fall silent" not in item.text] == [], preset.name


@pytest.mark.parametrize("name", AS_PUBLISHED)
def test_the_values_are_those_of_the_table(name: str) -> None:
    preset = find_preset(name)
    for phase, values in AS_PUBLISHED[name].items():
        effective = {
            f"{stage.key}.{key}": value
            for stage in preset.stack.effective(phase)
            for key, value in stage.parameters.items()
        }
        assert effective.items() >= values.items()


def test_a_preset_goes_through_json() -> None:
    document = find_preset("magnet").to_dict()
    assert document["mode"] == "nar-len"
    assert document["stacks"]["nar_len"][1]["value"]["values"] == [3.0, 0.15]


def test_an_unknown_preset_is_one_line_with_the_nearest_name() -> None:
    with pytest.raises(UserError, match=r'^there is no preset "zonoz"; the nearest is "zonos"$'):
        find_preset("zonoz")
    for name in ("", "../presets/zonos", "Zonos", "zonos.toml"):
        with pytest.raises(UserError, match="there is no preset"):
            find_preset(name)
    assert "gpt-sovits" in preset_names()


def test_presets_need_no_torch() -> None:
    code = "import sys; from valle.samplers.presets import presets; presets(); print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"
