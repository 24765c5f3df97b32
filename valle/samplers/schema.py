"""The JSON schema of a stack, made from the declarations."""

from __future__ import annotations

from typing import Any, get_args

from valle.samplers.declaration import Parameter, StageDeclaration, plain
from valle.samplers.naming import LISTS
from valle.samplers.stages import STAGES
from valle.samplers.values import MEASURES, CurveKind, Of, Over


def stack_schema() -> dict[str, Any]:
    """JSON schema (2020-12) of a stack's dict form."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "A sampler stack: an ordered list of stages per phase",
        "type": "object",
        "minProperties": 1,
        "properties": {name: {"$ref": "#/$defs/list"} for name in LISTS},
        "additionalProperties": False,
        "$defs": {
            "list": {
                "type": "array",
                "minItems": 1,
                "items": {"oneOf": [{"$ref": f"#/$defs/{name}"} for name in STAGES]},
            },
            "curve": _curve(),
            "condition": _condition(),
            **{name: _stage(declaration) for name, declaration in STAGES.items()},
        },
    }


def _stage(declaration: StageDeclaration) -> dict[str, Any]:
    properties: dict[str, Any] = {"name": {"const": declaration.name}}
    properties |= {parameter.name: _parameter(parameter) for parameter in declaration.parameters}
    if not declaration.decides:
        properties |= {"on": {"type": "boolean", "default": True}, "when": {"$ref": "#/$defs/condition"}}
    return {
        "type": "object",
        "description": declaration.help,
        "properties": properties,
        "required": ["name"],
        "additionalProperties": False,
    }


def _parameter(parameter: Parameter) -> dict[str, Any]:
    limits = {"minimum": parameter.minimum, "maximum": parameter.maximum}
    limits = {key: value for key, value in limits.items() if value is not None}
    about = {"description": parameter.help, "default": plain(parameter.default)}
    match parameter.type:
        case "boolean":
            return {"type": "boolean", **about}
        case "choice":
            return {"enum": list(parameter.choices), **about}
        case "ids":
            return {"type": "array", "items": {"type": "integer", **limits}, **about}
        case "biases":
            value = {"type": "number", **limits}
            return {
                "type": "object",
                "patternProperties": {"^[0-9]+$": value},
                "additionalProperties": False,
                **about,
            }
        case _:
            number = {"type": parameter.type, **limits}
            return {
                **(number if parameter.fixed else {"anyOf": [number, {"$ref": "#/$defs/curve"}]}),
                **about,
            }


def _curve() -> dict[str, Any]:
    numbers = {"type": "array", "items": {"type": "number"}, "minItems": 1}
    return {
        "type": "object",
        "description": "A parameter that changes over steps or with a measure of the row, in bits.",
        "properties": {
            "curve": {"enum": list(get_args(CurveKind))},
            "values": numbers,
            "over": {"enum": list(get_args(Over)), "default": "step"},
            "of": {"enum": list(get_args(Of)), "default": "raw"},
            "begin": {"type": "number", "default": 0},
            "end": {"type": "number"},
            "at": numbers,
        },
        "required": ["curve", "values"],
        "additionalProperties": False,
    }


def _condition() -> dict[str, Any]:
    return {
        "type": "object",
        "description": "The stage touches only the rows whose measure lies between these bits.",
        "properties": {
            "measure": {"enum": list(MEASURES)},
            "above": {"type": "number"},
            "below": {"type": "number"},
            "of": {"enum": list(get_args(Of)), "default": "raw"},
        },
        "required": ["measure"],
        "anyOf": [{"required": ["above"]}, {"required": ["below"]}],
        "additionalProperties": False,
    }
