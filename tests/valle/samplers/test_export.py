"""A stack in the words of other programs: which flags, in which order, and what is named as unsaid."""

from __future__ import annotations

import json
import shlex
from typing import Any

import pytest

from valle.samplers import Stack, StackError
from valle.samplers.export import PROGRAMS, Export, export, to_generate, to_llama_cpp, to_reference
from valle.samplers.export_tables import LLAMA_CPP, REFERENCE, TRANSFORMERS
from valle.samplers.presets import presets
from valle.samplers.stages import STAGES

LLAMA_CPP_README = """
--samplers --temp --top-k --top-p --min-p --top-nsigma --xtc-probability --xtc-threshold --typical
--repeat-last-n --repeat-penalty --presence-penalty --frequency-penalty --dry-multiplier --dry-base
--dry-allowed-length --dry-penalty-last-n --dry-sequence-breaker --adaptive-target --adaptive-decay
--dynatemp-range --dynatemp-exp
--mirostat --mirostat-lr --mirostat-ent --logit-bias
"""
"""The flags of the section on sampling in the readme of llama.cpp's server."""

LLAMA_CPP_SAMPLERS = "penalties;dry;top_n_sigma;top_k;typ_p;top_p;min_p;xtc;temperature;adaptive_p"

REFERENCE_USAGE = """
--ar-temperature --nar-temperature --min-ar-temperature --top-p --top-k --top-no --min-p --repetition-penalty
--repetition-penalty-decay --length-penalty --beam-width --mirostat-tau --mirostat-eta --dry-multiplier
--dry-base --dry-allowed-length --cfg-strength --cfg-rescale --entropix-sampling
"""


def ar(*stages: dict[str, Any] | str, **lists: Any) -> Stack:
    given = [{"name": stage} if isinstance(stage, str) else stage for stage in stages]
    return Stack.from_dict({"ar": given, **lists})


def flags(said: Export) -> dict[str, str]:
    """The command line as a shell splits it; a switch has an empty value."""
    found, name = dict[str, str](), ""
    for word in shlex.split(said.command_line):
        if word.startswith("--"):
            name = word
        found[name] = "" if word == name else word
    return found


FULL = ar(
    {"name": "repetition_penalty", "penalty": 1.15},
    {"name": "frequency_penalty", "penalty": 0.2},
    {"name": "dry", "multiplier": 0.8, "range": 200},
    {"name": "top_n_sigma", "n": 1.5},
    {"name": "top_k", "k": 40},
    {"name": "typical", "p": 0.9},
    {"name": "top_p", "p": 0.9},
    {"name": "min_p", "p": 0.05},
    {"name": "xtc", "probability": 0.5, "threshold": 0.1},
    {"name": "temperature", "value": 0.8},
    "draw",
)


def test_llama_cpp_runs_the_stages_of_the_list_in_its_order() -> None:
    said = to_llama_cpp(FULL)
    assert said.unsaid == ()
    assert flags(said) == {
        "--samplers": "penalties;dry;top_n_sigma;top_k;typ_p;top_p;min_p;xtc;temperature",
        "--repeat-penalty": "1.15",
        "--repeat-last-n": "75",
        "--frequency-penalty": "0.2",
        "--dry-multiplier": "0.8",
        "--dry-base": "1.75",
        "--dry-allowed-length": "2",
        "--dry-penalty-last-n": "200",
        "--dry-sequence-breaker": "none",
        "--top-nsigma": "1.5",
        "--top-k": "40",
        "--typical": "0.9",
        "--top-p": "0.9",
        "--min-p": "0.05",
        "--xtc-probability": "0.5",
        "--xtc-threshold": "0.1",
        "--temp": "0.8",
    }
    turned = ar({"name": "temperature", "value": 0.8}, {"name": "min_p", "p": 0.1}, "draw")
    assert flags(to_llama_cpp(turned))["--samplers"] == "temperature;min_p"


def test_llama_cpp_keeps_its_own_defaults_out() -> None:
    """Its temperature is 0.8 unless it is told otherwise, and the other samplers run unless the list leaves
    them out."""
    assert flags(to_llama_cpp(ar("draw"))) == {"--samplers": "temperature", "--temp": "1"}
    off = ar({"name": "top_k", "k": 0}, {"name": "min_p", "on": False}, "draw")
    assert flags(to_llama_cpp(off)) == {"--samplers": "temperature", "--temp": "1"}


def test_greedy_in_llama_cpp_is_a_cold_end() -> None:
    assert flags(to_llama_cpp(ar("greedy"))) == {"--samplers": "temperature", "--temp": "0"}
    warm = ar({"name": "temperature", "value": 0.5}, {"name": "min_p", "p": 0.1}, "greedy")
    assert flags(to_llama_cpp(warm))["--samplers"] == "temperature;min_p;top_k"
    assert flags(to_llama_cpp(warm))["--top-k"] == "1"
    full = ar({"name": "top_k", "k": 5}, {"name": "temperature", "value": 0.5}, "greedy")
    assert any(line.startswith("greedy:") for line in to_llama_cpp(full).unsaid)


def test_llama_cpp_has_its_temperature_in_the_middle_of_a_range() -> None:
    said = to_llama_cpp(ar({"name": "dynamic_temperature", "minimum": 0.5, "maximum": 1.5}, "draw"))
    assert flags(said) == {
        "--samplers": "temperature", "--temp": "1", "--dynatemp-range": "0.5", "--dynatemp-exp": "1",
    }  # fmt: skip


def test_mirostat_in_llama_cpp_takes_the_place_of_the_others() -> None:
    said = to_llama_cpp(
        ar(
            {"name": "top_k", "k": 9},
            {"name": "temperature", "value": 0.7},
            {"name": "mirostat", "target": 4.0},
        )
    )
    assert flags(said) == {"--temp": "0.7", "--mirostat": "2", "--mirostat-ent": "4", "--mirostat-lr": "0.1"}
    assert said.unsaid == (
        "top_k: its mirostat takes the place of all but the temperature",
        "mirostat: surprise is kept there, not row",
    )


def test_biases_and_bans_are_one_flag_an_id() -> None:
    said = to_llama_cpp(
        ar(
            {"name": "ban_tokens", "ids": [3, 9]},
            {"name": "logit_bias", "biases": {"4": 1.5, "5": -2.0}},
            "draw",
        )
    )
    assert [value for name, value in said.settings if name == "--logit-bias"] == [
        "3-inf",
        "9-inf",
        "4+1.5",
        "5-2",
    ]


def test_a_whole_past_is_not_off_in_llama_cpp() -> None:
    said = flags(
        to_llama_cpp(ar({"name": "presence_penalty", "window": 0}, {"name": "dry", "range": 0}, "draw"))
    )
    assert int(said["--repeat-last-n"]) >= 100_000
    assert int(said["--dry-penalty-last-n"]) >= 100_000


FALLING = {"curve": "linear", "values": [9, 1], "end": 10}
UNSURE = {"measure": "entropy", "above": 2.0}


@pytest.mark.parametrize(
    ("program", "stage", "says"),
    [
        ("llama.cpp", {"name": "eta"}, "eta: llama.cpp has no such stage"),
        ("reference", {"name": "eta"}, "eta: the reference has no such stage"),
        ("transformers", {"name": "dry"}, "dry: transformers has no such stage"),
        ("llama.cpp", {"name": "top_p", "rule": "below"}, "top_p: rule is reach there, not below"),
        (
            "llama.cpp",
            {"name": "repetition_penalty", "decay": 0.5},
            "repetition_penalty: decay is 0 there, not 0.5",
        ),
        ("llama.cpp", {"name": "top_k", "when": UNSURE}, "top_k: llama.cpp knows no conditions"),
        ("reference", {"name": "min_p"}, "min_p: it keeps 32 ids at least"),
        (
            "transformers",
            {"name": "top_k", "k": FALLING},
            "top_k: transformers holds k still, it cannot follow a curve",
        ),
    ],
)
def test_what_a_program_cannot_be_told_is_named(program: str, stage: dict[str, Any], says: str) -> None:
    assert says in export(ar(stage, "draw"), program).unsaid


def test_a_second_stage_of_a_kind_is_named() -> None:
    twice = ar({"name": "temperature", "value": 0.5}, {"name": "temperature", "value": 1.5}, "draw")
    for program in PROGRAMS:
        assert any(line.startswith("temperature#2: ") for line in export(twice, program).unsaid)
    both = ar("dynamic_temperature", {"name": "temperature", "value": 1.5}, "draw")
    assert "temperature: llama.cpp has one of a kind" in to_llama_cpp(both).unsaid


def test_two_windows_are_not_one() -> None:
    stack = ar(
        {"name": "repetition_penalty", "window": 20}, {"name": "presence_penalty", "window": 30}, "draw"
    )
    said = to_llama_cpp(stack)
    assert flags(said)["--repeat-last-n"] == "20"
    assert said.unsaid == ("presence_penalty: --repeat-last-n is 20 already",)


def test_the_reference_has_a_temperature_for_each_half() -> None:
    def temperatures(stack: Stack) -> tuple[str, ...]:
        said = flags(to_reference(stack))
        return said["--ar-temperature"], said["--nar-temperature"]

    warm: list[dict[str, Any]] = [{"name": "temperature", "value": 0.9}, {"name": "draw"}]
    cold = [{"name": "greedy"}]
    assert temperatures(ar(*warm, nar=cold)) == ("0.9", "0")
    assert temperatures(ar("draw", nar=warm)) == ("1", "0.9")
    assert temperatures(ar("greedy", nar=cold)) == ("0", "0")
    assert temperatures(ar({"name": "temperature", "value": 0.4}, "greedy", nar=cold)) == ("0", "0")


def test_deeper_levels_take_the_other_stages_of_level_0_in_the_reference() -> None:
    warm: list[dict[str, Any]] = [
        {"name": "top_k", "k": 5},
        {"name": "temperature", "value": 0.9},
        {"name": "draw"},
    ]
    same, other = ar(*warm, nar=warm), ar("draw", nar=warm, len=[{"name": "greedy"}])
    assert not any(line.startswith("nar") for line in to_reference(same).unsaid)
    assert "nar: the reference takes the stages of ar there" in to_reference(other).unsaid
    assert "len: its flags have no list of its own for this" in to_reference(other).unsaid


def test_the_reference_has_an_order_of_its_own() -> None:
    stack = ar({"name": "top_k", "k": 5}, {"name": "min_p", "p": 0.1}, "draw")
    assert "min_p: the reference has it before top_k" in to_reference(stack).unsaid
    right = ar({"name": "min_p", "p": 0.1}, {"name": "top_k", "k": 5}, "draw")
    assert not any("has it before" in line for line in to_reference(right).unsaid)


@pytest.mark.parametrize(
    "asked",
    [
        {"do_sample": False},
        {"do_sample": True, "top_k": 0},
        {"do_sample": True, "temperature": 0.7, "top_k": 30, "top_p": 0.8, "min_p": 0.1, "typical_p": 0.9},
        {"do_sample": True, "top_k": 0, "epsilon_cutoff": 0.01, "eta_cutoff": 0.02, "top_h": 0.5},
        {"repetition_penalty": 1.3, "no_repeat_ngram_size": 3, "min_new_tokens": 5, "suppress_tokens": [4]},
        {"guidance_scale": 1.5},
        {"exponential_decay_length_penalty": [9, 1.2], "sequence_bias": [[[4], 1.5], [[5], -1.0]]},
    ],
)
def test_a_generation_config_comes_back_from_its_stack(asked: dict[str, Any]) -> None:
    from transformers import GenerationConfig

    stack = Stack.from_generation_config(GenerationConfig(**asked))
    said = to_generate(stack)
    assert said.unsaid == ()
    assert said.arguments == {"do_sample": False, **asked}
    again = Stack.from_generation_config(GenerationConfig(**json.loads(json.dumps(said.arguments))))
    assert again == stack


@pytest.mark.parametrize("chooser", ["repetition_aware", "best_of", "adaptive_p", "mirostat"])
def test_where_a_chooser_is_unknown_it_is_a_draw(chooser: str) -> None:
    said = to_generate(ar({"name": "top_k", "k": 4}, chooser))
    assert said.arguments == {"top_k": 4, "do_sample": True}
    assert said.unsaid == (f"{chooser}: transformers has no such stage; it draws instead",)
    assert dict(to_reference(ar("best_of")).settings) == {"--ar-temperature": 1.0}


def test_every_flag_exists_and_every_preset_is_exported() -> None:
    for preset in presets():
        assert set(flags(to_llama_cpp(preset.stack))) <= set(LLAMA_CPP_README.split()), preset.name
        samplers = flags(to_llama_cpp(preset.stack)).get("--samplers", "")
        assert {name for name in samplers.split(";") if name} <= set(LLAMA_CPP_SAMPLERS.split(";"))
        assert set(flags(to_reference(preset.stack))) <= set(REFERENCE_USAGE.split()), preset.name
        for program in PROGRAMS:
            assert len(set(export(preset.stack, program).unsaid)) == len(export(preset.stack, program).unsaid)


@pytest.mark.parametrize("table", [LLAMA_CPP, REFERENCE, TRANSFORMERS])
def test_a_table_speaks_of_stages_and_parameters_that_there_are(table: Any) -> None:
    for name, said in table.items():
        assert {*said.names, *said.fixed} <= {item.name for item in STAGES[name].parameters}, name


def test_an_unknown_program_is_one_line_with_the_nearest_name() -> None:
    with pytest.raises(StackError, match=r'not exported to "llama"; the nearest is "llama\.cpp"'):
        export(ar("draw"), "llama")
