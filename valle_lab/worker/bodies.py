"""The messages as bodies and arrays of frames, and back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, fields
from typing import Any

import numpy as np

from valle.adapter_use import AdapterUse
from valle.control import Guide, ScheduledControl
from valle.early_exit import EarlyExit
from valle.manner import Manner
from valle.modes import Demasking
from valle.request import NullBranch, Part, Prefix, Prompt, Recipe, Request, Sentence
from valle.samplers.stack import Stack
from valle.step import Step
from valle.take import Segment
from valle_lab.worker.messages import Ask, Begun, Description, Made
from valle_lab.worker.protocol import Array
from valle_lab.worker.steps import event_from_dict, event_to_dict, place_from_list, place_to_list

Body = dict[str, Any]
Arrays = dict[str, Array]


def asked_to_body(ask: Ask | Request) -> tuple[Body, Arrays]:
    """What is to be spoken, in a person's words or resolved already."""
    if isinstance(ask, Request):
        body, arrays = request_to_body(ask)
        return {"resolved": True, "ask": body}, arrays
    stack = None if ask.stack is None else ask.stack.to_dict()
    exits = None if ask.early_exit is None else asdict(ask.early_exit)
    told = {**_plain(ask), "stack": stack, "early_exit": exits, "manner": ask.manner.to_dict()}
    told["part"] = asdict(ask.part)
    told["sources"], arrays = _sources_to_body(ask.sources)
    return {"resolved": False, "ask": told}, arrays


def asked_from_body(body: Mapping[str, Any], arrays: Mapping[str, Array]) -> Ask | Request:
    ask = body["ask"]
    if body["resolved"]:
        return request_from_body(ask, arrays)
    stack = None if ask["stack"] is None else Stack.from_dict(ask["stack"])
    exits = None if ask["early_exit"] is None else EarlyExit(**ask["early_exit"])
    manner, sources = Manner.from_dict(ask["manner"]), _sources_from_body(ask["sources"], arrays)
    part = Part(**ask["part"])
    read = {"stack": stack, "early_exit": exits, "manner": manner, "sources": sources, "part": part}
    return Ask(**{**ask, **read})


def request_to_body(request: Request) -> tuple[Body, Arrays]:
    """A request in full: the lab keeps what the worker resolved, ids, prompt codes, seed and recipe."""
    null = request.null
    sources, codes = _sources_to_body(request.sources)
    body = {
        **_plain(request),
        "sentences": [asdict(sentence) for sentence in request.sentences],
        "stack": request.stack.to_dict(),
        "prompt": voice_to_body(request.prompt),
        "null": {
            "text": asdict(null.text) if isinstance(null.text, Sentence) else null.text,
            "voice": voice_to_body(null.voice),
        },
        "recipe": asdict(request.recipe),
        "demasking": asdict(request.demasking),
        "sources": sources,
        "prefix": None if request.prefix is None else _prefix_to_body(request.prefix),
    }
    voices = {"prompt": request.prompt, "null.prompt": null.voice, "prefix": request.prefix}
    given = {name: voice.codes for name, voice in voices.items() if isinstance(voice, Prompt | Prefix)}
    return body, given | codes


def request_from_body(body: Mapping[str, Any], arrays: Mapping[str, Array]) -> Request:
    text, voice = body["null"]["text"], body["null"]["voice"]
    return Request(
        **{
            **body,
            "sentences": tuple(map(sentence_from_body, body["sentences"])),
            "stack": Stack.from_dict(body["stack"]),
            "prompt": voice_from_body(body["prompt"], arrays.get("prompt")),
            "null": NullBranch(
                text=sentence_from_body(text) if isinstance(text, Mapping) else text,
                voice=voice_from_body(voice, arrays.get("null.prompt")),
            ),
            "recipe": _recipe(body["recipe"]),
            "demasking": Demasking(**body["demasking"]),
            "sources": _sources_from_body(body["sources"], arrays),
            "prefix": None if body["prefix"] is None else _prefix_from_body(body["prefix"], arrays["prefix"]),
            "between": tuple(body["between"]),
        }
    )


def begun_to_body(begun: Begun) -> tuple[Body, Arrays]:
    """What is spoken, and by what."""
    body, arrays = request_to_body(begun.request)
    return {"request": body, "origin": begun.origin.model_dump(mode="json")}, arrays


def begun_from_body(body: Mapping[str, Any], arrays: Mapping[str, Array]) -> Begun:
    # The schema takes a tenth of a second to build: not before the first take.
    from valle_lab.session.schema import Origin

    origin = Origin.model_validate(body["origin"], strict=False)
    return Begun(request_from_body(body["request"], arrays), origin)


def recall_to_body(request: Request, steps: Sequence[Step]) -> tuple[Body, Arrays]:
    """A take that is to be made again as it was: its request, tokens and events."""
    body, arrays = request_to_body(request)
    places = [[place_to_list(step.place), len(step.tokens)] for step in steps]
    events = [event_to_dict(event) for step in steps for event in step.events]
    tokens = np.concatenate([np.zeros(0, np.int16), *(step.tokens for step in steps)])
    return {"request": body, "places": places, "events": events}, {**arrays, "tokens": tokens}


def recall_from_body(
    body: Mapping[str, Any], arrays: Mapping[str, Array]
) -> tuple[Request, ScheduledControl, int]:
    """The request, what guides it through the recorded tokens, and how many steps it had."""
    guides, at = {}, 0
    for place, count in body["places"]:
        if count:
            guides[place_from_list(place)] = Guide(arrays["tokens"][at : at + count])
        at += count
    events = [event_from_dict(event) for event in body["events"]]
    request = request_from_body(body["request"], arrays)
    return request, ScheduledControl(events, guides), len(body["places"])


def description_to_body(description: Description) -> Body:
    """What is loaded."""
    return {
        **_plain(description),
        "default_stack": description.default_stack.to_dict(),
        "recipe": asdict(description.recipe),
    }


def description_from_body(body: Mapping[str, Any]) -> Description:
    lists = ("languages", "voices", "phases", "remarks", "tasks", "modes")
    tuples = {name: tuple(body[name]) for name in lists}
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
    return {**body, "seconds": made.seconds, "memory": made.memory, "told": made.told}, arrays


def made_from_body(body: Mapping[str, Any], arrays: Mapping[str, Array]) -> Made:
    return Made(segments_from_body(body, arrays), body["seconds"], body["memory"], body["told"])


def _plain(value: Any) -> Body:
    return {field.name: getattr(value, field.name) for field in fields(value)}


def _recipe(body: Mapping[str, Any]) -> Recipe:
    exits = body["early_exit"]
    return Recipe(
        **{
            **body,
            "batch": tuple(body["batch"]),
            "adapters": tuple(AdapterUse(**use) for use in body["adapters"]),
            "early_exit": None if exits is None else EarlyExit(**exits),
        }
    )


def sentence_from_body(body: Mapping[str, Any]) -> Sentence:
    return Sentence(body["text"], body["phonemes"], tuple(body["ids"]))


def voice_to_body(voice: Prompt | str | None) -> Any:
    """A voice without its codes, which are an array of the frame; words and nothing as they are."""
    if not isinstance(voice, Prompt):
        return voice
    return {"codec": voice.codec, "voice": voice.voice, "part": voice.part and asdict(voice.part)}


def _sources_to_body(sources: Sequence[Prompt]) -> tuple[list[Body], Arrays]:
    """Speech that is there already, and its codes as arrays of the frame."""
    arrays = {f"source.{number}": source.codes for number, source in enumerate(sources)}
    return [voice_to_body(source) for source in sources], arrays


def _sources_from_body(bodies: Sequence[Body], arrays: Mapping[str, Array]) -> tuple[Prompt, ...]:
    return tuple(voice_from_body(body, arrays[f"source.{number}"]) for number, body in enumerate(bodies))


def _prefix_to_body(prefix: Prefix) -> Body:
    return {"sentence": asdict(prefix.sentence), "codec": prefix.codec}


def _prefix_from_body(body: Mapping[str, Any], codes: Array) -> Prefix:
    return Prefix(sentence_from_body(body["sentence"]), codes, body["codec"])


def voice_from_body(body: Any, codes: Array | None) -> Any:
    if not isinstance(body, Mapping) or codes is None:
        return body
    return Prompt(codes, body["codec"], body["voice"], body["part"] and Part(**body["part"]))
