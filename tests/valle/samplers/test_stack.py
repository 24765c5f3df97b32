"""A stack as data: the same dict everywhere, edits that stay valid, and one clear error for each mistake."""

from __future__ import annotations

import json
import math
import tomllib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from valle.samplers import STAGES, Stack, StackError, find, parse_setting
from valle.samplers.declaration import PHASES, Parameter, describe
from valle.samplers.schema import stack_schema

STACK = {
    "ar": [
        {"name": "repetition_penalty", "penalty": 1.2, "window": 40},
        {"name": "top_k", "k": 50, "on": False},
        {
            "name": "temperature",
            "value": {"curve": "linear", "values": [1.0, 0.7], "begin": 0.0, "end": 300.0},
        },
        {"name": "temperature", "value": 0.9, "when": {"measure": "entropy", "above": 3.0}},
        {"name": "draw"},
    ],
    "nar": [{"name": "greedy"}],
    "nar.3": [{"name": "top_p", "p": 0.8, "rule": "llama3"}, {"name": "draw"}],
}


def stack() -> Stack:
    return Stack.from_dict(STACK)


def names(of: Stack, list_name: str = "ar") -> list[str]:
    return [stage.name for stage in of.lists[list_name]]


def test_json_and_toml_give_the_same_stack_as_the_dict() -> None:
    toml = """
        ar = [
          { name = "repetition_penalty", penalty = 1.2, window = 40 }, { name = "top_k", k = 50, on = false },
          { name = "temperature", value = { curve = "linear", values = [1, 0.7], end = 300 } },
          { name = "temperature", value = 0.9, when = { measure = "entropy", above = 3 } }, { name = "draw" },
        ]
        nar = [{ name = "greedy" }]
        "nar.3" = [{ name = "top_p", p = 0.8, rule = "llama3" }, { name = "draw" }]
    """
    assert stack().to_dict() == STACK
    assert Stack.from_dict(json.loads(json.dumps(STACK))) == stack()
    assert Stack.from_dict(tomllib.loads(toml)) == stack()


def test_set_reaches_stages_by_name_and_number() -> None:
    edited = stack().set("temperature.value", 0.5).set("ar:temperature#2.value", 0.6)
    assert [stage["value"] for stage in edited.to_dict()["ar"] if stage["name"] == "temperature"] == [
        0.5,
        0.6,
    ]
    assert stack().set("top_k.on", True).lists["ar"][1].on
    cleared = stack().set("temperature#2.when", None)
    assert cleared.lists["ar"][3].when is None


def test_the_default_phase_is_the_one_that_decides_level_0() -> None:
    both = Stack.from_dict({"ar": [{"name": "draw"}], "nar_len": [{"name": "greedy"}]})
    assert names(both.set("top_k.k", 5, default_phase="nar_len"), "nar_len") == ["top_k", "greedy"]
    assert names(both.set("top_k.k", 5)) == ["top_k", "draw"]


def test_setting_a_level_without_a_list_copies_that_of_nar() -> None:
    edited = stack().set("nar.5:top_k.k", 7)
    assert names(edited, "nar.5") == ["top_k", "greedy"]
    assert names(edited, "nar") == ["greedy"]
    assert [stage.name for stage in edited.stages("nar", 3)] == ["top_p", "draw"]
    assert [stage.name for stage in edited.stages("nar", 4)] == ["greedy"]


def test_a_missing_stage_goes_to_its_usual_place() -> None:
    bare = Stack.from_dict({"ar": [{"name": "draw"}]})
    for setting in ("temperature.value=0.8", "top_p.p=0.9", "repetition_penalty.penalty=1.3", "top_k.k=9"):
        bare = bare.set_text(setting)
    assert names(bare) == ["repetition_penalty", "top_k", "top_p", "temperature", "draw"]
    assert names(bare.set("min_p.on", True)) == [
        "repetition_penalty", "top_k", "top_p", "min_p", "temperature", "draw",
    ]  # fmt: skip
    assert names(bare.set("temperature#2.value", 2.0))[-3:] == ["temperature", "temperature", "draw"]


def test_a_chooser_replaces_the_chooser() -> None:
    assert names(stack().set_text("greedy.on=true"))[-1] == "greedy"
    assert names(stack().add("greedy"))[-1] == "greedy"
    assert len(names(stack().add("greedy"))) == 5


def test_add_remove_move_switch_replace() -> None:
    edited = stack().add("min_p", {"p": 0.1}, 0)
    assert names(edited)[0] == "min_p"
    assert names(edited.move("min_p", 2))[2] == "min_p"
    assert edited.move("min_p", 0) == edited
    assert edited.remove("min_p") == stack()
    assert not edited.switch("min_p", False).lists["ar"][0].on
    assert names(edited.replace("nar", [{"name": "temperature"}, {"name": "draw"}]), "nar")[-1] == "draw"
    assert stack().to_dict() == STACK


def test_over_fills_what_a_preset_leaves_open() -> None:
    preset = Stack.from_dict({"nar": [{"name": "draw"}]})
    merged = preset.over(stack())
    assert names(merged, "nar") == ["draw"] and names(merged) == names(stack())
    assert "nar.3" not in merged.lists


def test_effective_fills_defaults_and_marks_what_does_nothing() -> None:
    edited = stack().set("temperature#2.value", 1.0)
    by_key = {stage.key: stage for stage in edited.effective("ar")}
    assert by_key["repetition_penalty"].parameters == {
        "penalty": 1.2, "window": 40, "decay": 0.0, "count": "id", "normalize": False,
    }  # fmt: skip
    assert by_key["temperature#2"].neutral and not by_key["temperature#2"].runs
    assert not by_key["top_k"].runs and not by_key["top_k"].neutral
    assert by_key["temperature#2"].occurrence == 1
    assert (
        Stack.from_dict(edited.effective_dict()).effective("ar")[0].parameters
        == by_key["repetition_penalty"].parameters
    )


ERRORS: list[tuple[str, str]] = [
    ("topk.k=5", 'unknown stage "topk"; the nearest is "top_k"'),
    ("nucleus.p=0.5", '"nucleus" is called "top_p" here'),
    ("temprature.value=1", 'unknown stage "temprature"; the nearest is "temperature"'),
    ("top_k.kk=5", 'ar:top_k has no parameter "kk"; the nearest is "k"'),
    ("repetition_penalty.penality=2", 'ar:repetition_penalty has no parameter "penality"; the nearest is'),
    ("top_k.k=-1", "ar:top_k.k must be between 0 and 100000, not -1"),
    ("top_p.p=1.5", "ar:top_p.p must be between 0.0 and 1.0, not 1.5"),
    ("top_k.k=1.5", "ar:top_k.k must be a whole number, not 1.5"),
    ("top_k.k=many", 'ar:top_k.k must be a number, not "many"'),
    ("top_k.k=true", "ar:top_k.k must be a number, not true"),
    ("top_p.p=NaN", "ar:top_p.p must be a finite number, not NaN"),
    ("top_p.p=-Infinity", "ar:top_p.p must be a finite number, not -Infinity"),
    ("top_p.rule=best", 'ar:top_p.rule must be one of reach, llama3, below, not "best"'),
    ("repetition_penalty.normalize=2", "ar:repetition_penalty.normalize must be true or false"),
    ("ban_tokens.ids=1,-2", "ar:ban_tokens.ids must be between 0 and 2147483647, not -2"),
    ("ban_tokens.ids={}", "ar:ban_tokens.ids must be a number, not {}"),
    ("top_k.on=perhaps", "top_k.on must be true or false, not perhaps"),
    ("draw.on=false", "ar:draw decides the token and cannot be switched off; put another"),
    ("nar:repetition_penalty.penalty=2", "nar:repetition_penalty makes no sense in nar: "),
    ("nur:top_k.k=3", 'unknown phase "nur"; the nearest is "nar"'),
    ("nar.9:top_k.k=3", 'unknown level in "nar.9": nar has the levels 1 to 7'),
    ("ar.3:top_k.k=3", '"ar.3": only nar has levels, as in nar.3'),
    ("len:top_k.k=3", "the stack has no list for len; it has ar, nar, nar.3"),
    ("temperature#4.value=1", "ar:temperature#4: the list has 2 of temperature; the next one is number 3"),
    ("greedy#2.on=true", "ar:greedy#2: a list has one chooser, without a number"),
    ("top_k", '"top_k" sets nothing; write it like temperature.value=0.9'),
    ("top_k=5", '"top_k" names no parameter; write it like temperature.value or nar.3:top_k.k'),
    ("temperature.value=", '"temperature.value=" sets nothing; write it like temperature.value=0.9'),
    ('temperature.value={"curve": "wavy", "values": [1]}', "ar:temperature.value.curve must be one of "),
    ('temperature.value={"curve": "linear", "values": [1]}', "ar:temperature.value: a linear curve needs 2"),
    ('temperature.value={"curve": "linear", "values": [1, 2]}', "ar:temperature.value.end must be "),
    ('temperature.value={"curve": "list", "values": []}', "ar:temperature.value.values must be a list "),
    ('temperature.value={"curve": "list", "values": [9]}', "ar:temperature.value.values must be between "),
    ('temperature.value={"curve": "list", "valeus": [1]}', 'ar:temperature.value has no "valeus"; '),
    ('temperature.value={"curve": "list", "values": [1], "over": "entropy"}', "ar:temperature.value: a list"),
    ('temperature.value={"curve": "steps", "values": [1, 2], "at": [5, 5]}', "ar:temperature.value.at must"),
    ('top_p.rule={"curve": "list", "values": [1]}', "ar:top_p.rule is not a number and takes no curve"),
    ('top_k.when={"measure": "mood", "above": 1}', "ar:top_k.when.measure must be one of entropy, "),
    ('top_k.when={"measure": "entropy"}', "ar:top_k.when needs above or below, in bits"),
    ("top_k.when=entropy", "ar:top_k.when must look like {measure: entropy, above: 3.0}"),
]  # fmt: skip


@pytest.mark.parametrize(("setting", "message"), ERRORS)
def test_each_mistake_in_a_setting_is_told_in_one_line(setting: str, message: str) -> None:
    with pytest.raises(StackError) as caught:
        stack().set_text(setting)
    assert str(caught.value).startswith(message), str(caught.value)
    assert "\n" not in str(caught.value)


BAD_STACKS: list[tuple[Any, str]] = [
    ([], "a stack must map phases to lists of stages"),
    ({}, "the stack is empty"),
    ({"ar": []}, "ar is an empty list; it needs at least a chooser"),
    ({"ar": "draw"}, "ar must be a list of stages, not draw"),
    ({"ar": ["draw"]}, 'ar[0] must look like {"name": "top_k", "k": 50}, not draw'),
    ({"ar": [{"k": 5}]}, 'ar[0] needs a "name"'),
    ({"ar": [{"name": "top_k"}]}, "ar has no chooser; end it with one, such as greedy or draw"),
    (
        {"ar": [{"name": "draw"}, {"name": "greedy"}]},
        "ar has 2 choosers (draw, greedy); keep one",
    ),
    ({"ar": [{"name": "draw"}, {"name": "top_k"}]}, "ar:draw decides the token and must be the last stage"),
    (
        {"ar": [{"name": "draw", "when": {"measure": "entropy", "above": 1}}]},
        "ar:draw decides the token and",
    ),
    ({"ar": [{"name": "top_k", "k": "5"}, {"name": "draw"}]}, 'ar:top_k.k must be a number, not "5"'),
    (
        {"ar": [{"name": "top_k"}, {"name": "top_k", "k": -1}, {"name": "draw"}]},
        "ar:top_k#2.k must be between",
    ),
    ({"ar": [{"name": "top_k", "on": 1}, {"name": "draw"}]}, "ar:top_k.on must be true or false, not 1"),
    ({"ar": [{"name": "top_k"}] * 65}, "ar has 65 stages; 64 at most"),
    ({"nar.0": [{"name": "greedy"}]}, 'unknown level in "nar.0"'),
    ({"nar": [{"name": "minimum_length"}, {"name": "greedy"}]}, "nar:minimum_length makes no sense in nar: "),
    ({"nar_len": [{"name": "minimum_length"}, {"name": "greedy"}]}, "nar_len:minimum_length makes no sense"),
]


@pytest.mark.parametrize(("value", "message"), BAD_STACKS)
def test_each_mistake_in_a_stack_is_told_in_one_line(value: Any, message: str) -> None:
    with pytest.raises(StackError) as caught:
        Stack.from_dict(value)
    assert str(caught.value).startswith(message), str(caught.value)
    assert "\n" not in str(caught.value)


def test_mistakes_in_edits() -> None:
    with pytest.raises(StackError, match="ar has no min_p; it has repetition_penalty, top_k, temperature"):
        stack().remove("min_p")
    with pytest.raises(StackError, match='unknown stage "mim_p"; the nearest is "min_p"'):
        stack().switch("mim_p", False)
    with pytest.raises(StackError, match="ar:draw decides the token and cannot be removed"):
        stack().remove("draw")
    with pytest.raises(StackError, match="the place must be a whole number from 0 to 4, not 7"):
        stack().move("top_k", 7)
    with pytest.raises(StackError, match="ar:draw decides the token and must be the last stage"):
        stack().move("draw", 0)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)


@given(
    st.sampled_from(sorted(STAGES)),
    st.sampled_from(("name", "on", "when", "k", "p", "value", "ids", "x")),
    json_values,
)
def test_whatever_a_file_holds_it_is_a_stack_or_an_error(name: str, key: str, value: Any) -> None:
    entry = {"name": name, key: value}
    stages = [entry] if find(name).decides else [entry, {"name": "draw"}]
    try:
        made = Stack.from_dict({"ar": stages})
    except StackError as error:
        assert "\n" not in str(error)
    else:
        assert Stack.from_dict(json.loads(json.dumps(made.to_dict()))) == made


@given(st.text(max_size=30))
def test_whatever_is_typed_is_a_setting_or_an_error(text: str) -> None:
    for attempt in (text, f"{text}=1", f"top_k.{text}=1", f"temperature.value={text}"):
        try:
            parse_setting(attempt)
        except StackError:
            continue


def sample_value(parameter: Parameter) -> Any:
    return {"ids": [1, 2], "biases": {"3": -1.0}}.get(parameter.type, parameter.default)


@pytest.mark.parametrize("name", sorted(STAGES))
def test_declarations_are_whole(name: str) -> None:
    declaration = find(name)
    assert declaration.help.endswith(".") and declaration.source and declaration.phases
    assert set(declaration.refused) <= set(PHASES) and all(declaration.refused.values())
    for parameter in declaration.parameters:
        assert parameter.help and parameter.name not in ("name", "on", "when")
        if parameter.type in ("number", "integer"):
            assert parameter.minimum is not None and parameter.maximum is not None and parameter.step
            assert parameter.minimum <= parameter.default <= parameter.maximum
            assert math.isfinite(parameter.maximum)
        if parameter.type == "choice":
            assert parameter.default in parameter.choices
        if parameter.bounded_by is not None:
            assert declaration.parameter(parameter.bounded_by) is not None
    given = {item.name: sample_value(item) for item in declaration.parameters}
    stages = [{"name": name, **given}] + ([] if declaration.decides else [{"name": "draw"}])
    made = Stack.from_dict({declaration.phases[0]: stages})
    assert Stack.from_dict(made.to_dict()) == made


def test_description_has_what_the_command_line_promises() -> None:
    described = describe(find("top_p"))
    assert json.loads(json.dumps(described)) == described
    assert {"name", "family", "phases", "help", "source", "parameters"} <= set(described)
    for parameter in described["parameters"]:
        promised = (
            "name",
            "type",
            "minimum",
            "maximum",
            "step",
            "default",
            "neutral",
            "unit",
            "help",
            "choices",
        )
        assert set(promised) <= set(parameter)


def test_the_schema_knows_every_stage_and_parameter() -> None:
    schema = json.loads(json.dumps(stack_schema()))
    for name, declaration in STAGES.items():
        entry = schema["$defs"][name]
        assert set(entry["properties"]) >= {"name", *(item.name for item in declaration.parameters)}
        assert ("on" in entry["properties"]) != declaration.decides
    assert set(schema["properties"]) == {*PHASES, *(f"nar.{level}" for level in range(1, 8))}


def test_what_others_call_a_stage_is_nothing_else_here() -> None:
    named = [name for stage in STAGES.values() for name in (stage.name, *stage.also)]
    assert len(named) == len(set(named))
