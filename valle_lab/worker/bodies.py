"""The messages as bodies and arrays of frames, and back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, fields
from typing import Any

from valle.request import Prompt, Recipe, Request, Sentence
from valle.samplers.stack import Stack
from valle.take import Segment
from valle_lab.worker.messages import Ask, Begun, Description, Made
from valle_lab.worker.protocol import Array

Body = dict[str, Any]
Arrays = dict[str, Array]


def asked_to_body(ask: Ask | Request) -> tuple[Body, Arrays]:
    """What is to be spoken, in a person's words or resolved already."""
    if isinstance(ask, Request):
        body, arrays = request_to_body(ask)
        return {"resolved": True, "ask": body}, arrays
    stack = None if ask.stack is None else ask.stack.to_dict()
    return {"resolved": False, "ask": {**_plain(ask), "stack": stack}}, {}


def asked_from_body(body: Mapping[str, Any], arrays: Mapping[str, Array]) -> Ask | Request:
    ask = body["ask"]
    if body["resolved"]:
        return request_from_body(ask, arrays)
    stack = None if ask["stack"] is None else Stack.from_dict(ask["stack"])
    return Ask(**{**ask, "stack": stack})


def request_to_body(request: Request) -> tuple[Body, Arrays]:
    """A request in full: the lab keeps what the worker resolved, ids, prompt codes, seed and recipe."""
    prompt = request.prompt
    body = {
        **_plain(request),
        "sentences": [asdict(sentence) for sentence in request.sentences],
        "stack": request.stack.to_dict(),
        "prompt": None if prompt is None else {"codec": prompt.codec, "voice": prompt.voice},
        "recipe": asdict(request.recipe),
    }
    return body, {} if prompt is None else {"prompt": prompt.codes}


def request_from_body(body: Mapping[str, Any], arrays: Mapping[str, Array]) -> Request:
    sentences = tuple(Sentence(s["text"], s["phonemes"], tuple(s["ids"])) for s in body["sentences"])
    prompt = None if body["prompt"] is None else Prompt(codes=arrays["prompt"], **body["prompt"])
    stack = Stack.from_dict(body["stack"])
    recipe = _recipe(body["recipe"])
    return Request(**{**body, "sentences": sentences, "stack": stack, "prompt": prompt, "recipe": recipe})


def begun_to_body(begun: Begun) -> tuple[Body, Arrays]:
    """What is spoken, and by what."""
    body, arrays = request_to_body(begun.request)
    return {"request": body, "origin": begun.origin.model_dump(mode="json")}, arrays


def begun_from_body(body: Mapping[str, Any], arrays: Mapping[str, Array]) -> Begun:
    # The schema takes a tenth of a second to build: not before the first take.
    from valle_lab.session.schema import Origin

    origin = Origin.model_validate(body["origin"], strict=False)
    return Begun(request_from_body(body["request"], arrays), origin)


def description_to_body(description: Description) -> Body:
    """What is loaded."""
    return {
        **_plain(description),
        "default_stack": description.default_stack.to_dict(),
        "recipe": asdict(description.recipe),
    }


def description_from_body(body: Mapping[str, Any]) -> Description:
    tuples = {name: tuple(body[name]) for name in ("languages", "voices", "phases")}
    stack = Stack.from_dict(body["default_stack"])
    return Description(**{**body, **tuples, "default_stack": stack, "recipe": _recipe(body["recipe"])})


def segments_to_body(segments: Sequence[Segment]) -> tuple[Body, Arrays]:
    """The codes of a take, one array a level."""
    stops = [segment.stop for segment in segments]
    arrays = {
        f"{i}.{j}": level for i, segment in enumerate(segments) for j, level in enumerate(segment.levels)
    }
    return {"stops": stops, "levels": [len(segment.levels) for segment in segments]}, arrays


def segments_from_body(body: Mapping[str, Any], arrays: Mapping[str, Array]) -> tuple[Segment, ...]:
    return tuple(
        Segment(tuple(arrays[f"{i}.{j}"] for j in range(levels)), stop)
        for i, (stop, levels) in enumerate(zip(body["stops"], body["levels"], strict=True))
    )


def made_to_body(made: Made) -> tuple[Body, Arrays]:
    """The end of a take; its steps have crossed before."""
    body, arrays = segments_to_body(made.segments)
    return {**body, "seconds": made.seconds}, arrays


def made_from_body(body: Mapping[str, Any], arrays: Mapping[str, Array]) -> Made:
    return Made(segments_from_body(body, arrays), body["seconds"])


def _plain(value: Any) -> Body:
    return {field.name: getattr(value, field.name) for field in fields(value)}


def _recipe(body: Mapping[str, Any]) -> Recipe:
    return Recipe(**{**body, "batch": tuple(body["batch"])})
