"""Each sampling flag changes the effective stack, where it should and nowhere else."""

from __future__ import annotations

from typing import Any

import pytest

from valle.command.flags import parse
from valle.command.stacks import with_flags
from valle.errors import UserError
from valle.samplers.stack import Stack

MODEL = Stack.from_dict(
    {
        "ar": [{"name": "temperature", "value": 0.9}, {"name": "top_k", "k": 40}, {"name": "draw"}],
        "nar": [{"name": "greedy"}],
    }
)


def made(*flags: str) -> dict[str, list[dict[str, Any]]]:
    return with_flags(MODEL, parse(["text", *flags]), ("ar",)).to_dict()


def test_no_flag_leaves_the_model_s_own() -> None:
    assert made() == MODEL.to_dict()


@pytest.mark.parametrize(
    ("flags", "phase", "stage"),
    [
        ("--temperature 0.5", "ar", {"name": "temperature", "value": 0.5}),
        ("--temperature 0.5", "nar", {"name": "temperature", "value": 0.5}),
        ("--ar-temperature 0.5", "ar", {"name": "temperature", "value": 0.5}),
        ("--nar-temperature 0.5", "nar", {"name": "temperature", "value": 0.5}),
        ("--nar-temperature 0.5", "nar", {"name": "draw"}),
        ("--nar-temperature 0", "nar", {"name": "greedy"}),
        ("--temperature 0.5 --ar-temperature 0.7", "ar", {"name": "temperature", "value": 0.7}),
        (
            "--ar-temperature 1.5 --min-ar-temperature 0.2",
            "ar",
            {"name": "dynamic_temperature", "minimum": 0.2, "maximum": 1.5, "form": "sigmoid"},
        ),
        (
            "--nar-temperature 1.5 --min-nar-temperature 0.2",
            "nar",
            {"name": "dynamic_temperature", "minimum": 0.2, "maximum": 1.5, "form": "sigmoid"},
        ),
        (
            "--temperature 1.2 --min-temperature 0.3",
            "nar",
            {"name": "dynamic_temperature", "minimum": 0.3, "maximum": 1.2, "form": "sigmoid"},
        ),
        ("--top-k 7", "ar", {"name": "top_k", "k": 7}),
        ("--top-k 7", "nar", {"name": "top_k", "k": 7}),
        ("--top-k 0", "ar", {"name": "top_k", "k": 40, "on": False}),
        ("--top-p 0.8", "ar", {"name": "top_p", "p": 0.8}),
        ("--min-p 0.05", "ar", {"name": "min_p", "p": 0.05}),
        ("--top-no 1.5", "ar", {"name": "top_n_sigma", "n": 1.5}),
        ("--repetition-penalty 1.2", "ar", {"name": "repetition_penalty", "penalty": 1.2}),
        (
            "--repetition-penalty 1.2 --repetition-penalty-decay 0.1",
            "ar",
            {"name": "repetition_penalty", "penalty": 1.2, "decay": 0.1},
        ),
        ("--length-penalty 0.3", "ar", {"name": "length_penalty", "penalty": 0.3}),
        ("--beam-width 3", "ar", {"name": "beam_search", "width": 3}),
        ("--mirostat-tau 4", "ar", {"name": "mirostat", "target": 4.0}),
        (
            "--mirostat-tau 4 --mirostat-eta 0.2",
            "ar",
            {"name": "mirostat", "target": 4.0, "learning_rate": 0.2},
        ),
        ("--dry-multiplier 0.5", "ar", {"name": "dry", "multiplier": 0.5}),
        ("--dry-multiplier 0.5 --dry-base 2", "ar", {"name": "dry", "multiplier": 0.5, "base": 2.0}),
        (
            "--dry-multiplier 0.5 --dry-allowed-length 4",
            "ar",
            {"name": "dry", "multiplier": 0.5, "allowed_length": 4},
        ),
        ("--entropix-sampling", "ar", {"name": "entropix"}),
        ("--cfg-strength 3", "ar", {"name": "guidance", "scale": 3.0}),
        ("--cfg-strength 3", "nar", {"name": "guidance", "scale": 3.0}),
        (
            "--cfg-strength 3 --cfg-rescale 0.75",
            "ar",
            {"name": "guidance", "scale": 3.0, "rescale": 0.75, "rescale_over": "sequence"},
        ),
    ],
)
def test_a_flag_is_a_stage(flags: str, phase: str, stage: dict[str, Any]) -> None:
    assert stage in made(*flags.split())[phase]


@pytest.mark.parametrize("flags", ["--cfg-strength 0", "--cfg-strength 1", "--beam-width 1", "--top-p 1"])
def test_values_that_are_off(flags: str) -> None:
    assert made(*flags.split()) == MODEL.to_dict()


def test_guidance_that_the_model_has_can_be_switched_off() -> None:
    guided = MODEL.set("ar:guidance.scale", 3.0)
    stack = with_flags(guided, parse(["text", "--cfg-strength", "1"]), ("ar",)).to_dict()
    assert stack["ar"][0] == {"name": "guidance", "scale": 3.0, "on": False}


def test_guidance_that_the_model_has_can_be_rescaled_alone() -> None:
    guided = MODEL.set("ar:guidance.scale", 3.0)
    (guidance, *_) = with_flags(guided, parse(["text", "--cfg-rescale", "0.5"]), ("ar",)).to_dict()["ar"]
    assert guidance == {"name": "guidance", "scale": 3.0, "rescale": 0.5, "rescale_over": "sequence"}


def test_the_flags_of_level_0_go_to_the_phase_that_decides_it() -> None:
    demasked = MODEL.replace("nar_len", [{"name": "greedy"}])
    stack = with_flags(demasked, parse(["text", "--ar-temperature", "0.4"]), ("nar_len",)).to_dict()
    assert stack["nar_len"] == [{"name": "temperature", "value": 0.4}, {"name": "draw"}]
    assert stack["ar"] == MODEL.to_dict()["ar"]


def test_demasking_after_an_ar_decides_level_0_as_well() -> None:
    given = ["--ar-temperature", "0.4", "--top-k", "7", "--cfg-strength", "2", "--beam-width", "3"]
    flags = parse(["text", *given])
    both = with_flags(MODEL.replace("nar_len", [{"name": "greedy"}]), flags, ("ar", "nar_len")).to_dict()
    alone = with_flags(MODEL, flags, ("ar",)).to_dict()
    assert both["ar"] == alone["ar"] and both["nar"] == alone["nar"]
    assert both["nar_len"] == [
        {"name": "guidance", "scale": 2.0},
        {"name": "top_k", "k": 7},
        {"name": "temperature", "value": 0.4},
        {"name": "draw"},
    ]


def test_levels_over_a_given_level_0_have_settings_of_their_own() -> None:
    stack = with_flags(MODEL, parse(["text", "--ar-temperature", "0.4", "--top-k", "7"]), ()).to_dict()
    assert stack["ar"] == MODEL.to_dict()["ar"]
    assert stack["nar"] == [{"name": "top_k", "k": 7}, {"name": "greedy"}]


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        ("--repetition-penalty-decay 0.1", "--repetition-penalty-decay"),
        ("--dry-base 2", "--dry-multiplier"),
        ("--mirostat-eta 0.1", "--mirostat-tau"),
        ("--cfg-rescale 0.75", "--cfg-strength"),
        ("--beam-width -1", "--beam-width"),
        ("--mirostat-tau 3 --beam-width 4", "both decide"),
        ("--min-temperature 0.5", "minimum temperature"),
        ("--temperature 0.5 --min-temperature 0.5", "must be below"),
        ("--top-p 1.5", "top_p.p"),
        ("--ar-temperature -1", "temperature.value"),
        ("--top-q 3", "--top-q"),
        ("--top-k many", "--top-k"),
        ("--task sing", "--task"),
    ],
)
def test_what_cannot_be_is_one_line(flags: str, said: str) -> None:
    with pytest.raises(UserError) as caught:
        made(*flags.split())
    assert said in str(caught.value) and "\n" not in str(caught.value)
