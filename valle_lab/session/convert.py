"""Between a take as the engine made it and a take as a session holds it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from itertools import groupby
from pathlib import PureWindowsPath
from typing import Any, cast

import numpy as np
from pydantic import ValidationError

from valle.adapter_use import AdapterUse
from valle.control import Event
from valle.early_exit import EarlyExit
from valle.errors import UserError
from valle.modes import Demasking
from valle.request import NullBranch, Part, Prefix, Prompt, Recipe, Request, Sentence
from valle.samplers import Stack
from valle.samplers.noise import SCHEME
from valle.step import Place, Step
from valle.take import Segment, Take, codes_sha256
from valle_lab.session import schema
from valle_lab.session.base import Array, array_document
from valle_lab.session.ending import with_cancel
from valle_lab.session.traces import steps_of, trace_document

PHASE_ORDER = ("len", "ar", "refine", "nar_len", "nar", "stt", "phn", "un_phn")


def to_session_take(
    take: Take, origin: schema.Origin, *, parent: str | None = None, fork: Place | None = None
) -> schema.Take:
    """A take in the file's form; one that was left before its end gets a `cancel` there.

    Raises UserError if it was made without evidence, or has numbers that no file may hold.
    """
    take = with_cancel(take)
    segments = tuple(_to_session_segment(take, number) for number in range(len(take.segments)))
    return begun_take(take.request, origin, parent=parent, fork=fork).model_copy(
        update={
            "events": tuple(to_session_event(event) for event in take.events),
            "segments": segments,
            "codes_sha256": codes_sha256(take.segments),
            "seconds": take.seconds,
        }
    )


def begun_take(
    request: Request, origin: schema.Origin, *, parent: str | None = None, fork: Place | None = None
) -> schema.Take:
    """What can be said of a take before its first step."""
    return schema.Take(
        id=request.take,
        parent=parent,
        fork=None if fork is None else to_session_place(fork),
        origin=origin,
        request=to_session_request(request),
        effective=request.stack.effective_dict(),
        codes_sha256=codes_sha256(()),
    )


def from_session_take(record: schema.Take) -> Take:
    """The take that a session holds. Raises UserError where its stack is none that this version can run."""
    segments = tuple(
        Segment(tuple(np.array(level.values(), np.int16) for level in segment.levels), segment.stop)
        for segment in record.segments
    )
    return Take(from_session_request(record), segments, tuple(_steps(record)), record.seconds)


def to_session_request(request: Request) -> schema.Request:
    """A request in the file's form; a voice that was named by its path is named by its file's name."""
    return schema.Request(
        sentences=tuple(map(_to_session_sentence, request.sentences)),
        language=request.language,
        prompt=None if request.prompt is None else _to_session_prompt(request.prompt),
        task=request.task,
        mode=request.mode,
        max_frames=request.max_frames,
        max_levels=request.max_levels,
        seed=request.seed,
        noise=SCHEME,
        stack=request.stack.to_dict(),
        recipe=schema.Recipe.model_validate(asdict(request.recipe)),
        null=_to_session_null(request.null),
        sources=tuple(map(_to_session_prompt, request.sources)),
        prefix=None if request.prefix is None else _to_session_prefix(request.prefix),
        history=request.history,
        between=request.between,
        ar_frames=request.ar_frames,
        demasking=schema.Demasking.model_validate(asdict(request.demasking)),
        refine=request.refine,
    )


def from_session_request(record: schema.Take) -> Request:
    """The request of a take. Raises UserError where its stack is none that this version can run."""
    request = record.request
    null = request.null
    return Request(
        sentences=tuple(map(_from_session_sentence, request.sentences)),
        language=request.language,
        stack=Stack.from_dict(request.stack),
        seed=request.seed,
        prompt=None if request.prompt is None else _from_session_prompt(request.prompt),
        take=record.id,
        task=request.task,
        mode=request.mode,
        max_frames=request.max_frames,
        max_levels=request.max_levels,
        recipe=_from_session_recipe(request.recipe),
        null=NullBranch(
            text=null.text if isinstance(null.text, str) else _from_session_sentence(null.text),
            voice=null.voice if isinstance(null.voice, str) else _from_session_prompt(null.voice),
        ),
        sources=tuple(map(_from_session_prompt, request.sources)),
        prefix=None if request.prefix is None else _from_session_prefix(request.prefix),
        history=request.history,
        between=request.between,
        ar_frames=request.ar_frames,
        demasking=Demasking(
            **{name: getattr(request.demasking, name) for name in schema.Demasking.model_fields}
        ),
        refine=request.refine,
    )


def to_session_event(event: Event) -> schema.Event:
    """An event in the file's form; it must have a place."""
    assert event.place is not None
    return schema.Event(
        kind=event.kind, name=event.name, value=_plain(event.value), place=to_session_place(event.place)
    )


def from_session_event(event: schema.Event) -> Event:
    """The event that a session holds."""
    return Event(event.kind, event.name, event.value, from_session_place(event.place))


def to_session_place(place: Place) -> schema.Place:
    """A place in the file's form."""
    return schema.Place(
        segment=place.segment, phase=cast("schema.Phase", place.phase), level=place.level, step=place.step
    )


def from_session_place(place: schema.Place) -> Place:
    """The place that a session holds."""
    return Place(place.segment, place.phase, place.level, place.step)


def decision_order(place: Place) -> tuple[int, int, int, int]:
    """A key that sorts places into the order in which they are decided."""
    return place.segment, PHASE_ORDER.index(place.phase), place.level, place.step


def without_folder(name: str) -> str:
    """The last part of a path, of this system or another, as a name that fits a session."""
    printable = "".join(character for character in PureWindowsPath(name).name if character.isprintable())
    return printable[:200]


def _from_session_recipe(recipe: schema.Recipe) -> Recipe:
    plain = {name: getattr(recipe, name) for name in schema.Recipe.model_fields}
    exits = recipe.early_exit
    return Recipe(
        **{
            **plain,
            "adapters": tuple(AdapterUse(use.name, use.sha256, use.strength) for use in recipe.adapters),
            "early_exit": exits and EarlyExit(exits.layer, exits.entropy, exits.varentropy, exits.draft),
        }
    )


def _to_session_sentence(sentence: Sentence) -> schema.Sentence:
    ids = Array.of(np.array(sentence.ids), "int32")
    return schema.Sentence(text=sentence.text, phonemes=sentence.phonemes, ids=ids)


def _from_session_sentence(sentence: schema.Sentence) -> Sentence:
    return Sentence(sentence.text, sentence.phonemes, tuple(sentence.ids.values().tolist()))


def _to_session_prompt(prompt: Prompt) -> schema.Prompt:
    return schema.Prompt(
        codes=Array.of(prompt.codes, "int16"),
        codec=prompt.codec,
        voice=without_folder(prompt.voice),
        part=None if prompt.part is None else schema.Part.model_validate(asdict(prompt.part)),
    )


def _from_session_prompt(prompt: schema.Prompt) -> Prompt:
    told = prompt.part
    part = None if told is None else Part(told.start, told.seconds, told.looped)
    return Prompt(np.array(prompt.codes.values(), np.int16), prompt.codec, prompt.voice, part)


def _to_session_prefix(prefix: Prefix) -> schema.Prefix:
    sentence = _to_session_sentence(prefix.sentence)
    return schema.Prefix(sentence=sentence, codes=Array.of(prefix.codes, "int16"), codec=prefix.codec)


def _from_session_prefix(prefix: schema.Prefix) -> Prefix:
    sentence = _from_session_sentence(prefix.sentence)
    return Prefix(sentence, np.array(prefix.codes.values(), np.int16), prefix.codec)


def _to_session_null(null: NullBranch) -> schema.NullBranch:
    return schema.NullBranch(
        text=null.text if isinstance(null.text, str) else _to_session_sentence(null.text),
        voice=null.voice if isinstance(null.voice, str) else _to_session_prompt(null.voice),
    )


def _to_session_segment(take: Take, number: int) -> schema.Segment:
    decisions = [step for step in take.steps if step.place.segment == number and len(step.tokens)]
    document = {
        "levels": [array_document(level, "int16") for level in take.segments[number].levels],
        "stop": take.segments[number].stop,
        "traces": [
            trace_document(list(steps)) for _, steps in groupby(decisions, lambda step: step.place.phase)
        ],
    }
    try:
        return schema.Segment.model_validate_json(json.dumps(document))
    except ValidationError as error:
        told = error.errors()[0]
        where = ".".join(map(str, told["loc"]))
        raise UserError(f"Segment {number} cannot be kept: {where}: {told['msg']}") from None


def _steps(record: schema.Take) -> list[Step]:
    """The steps of all segments in order, with their events; those that ended a phase have no tokens."""
    events: dict[Place, tuple[Event, ...]] = {}
    for item in record.events:
        event = from_session_event(item)
        place = from_session_place(item.place)
        events[place] = (*events.get(place, ()), replace(event, place=place))
    steps = [
        replace(step, events=events.pop(step.place, ()))
        for number, segment in enumerate(record.segments)
        for trace in segment.traces
        for step in steps_of(trace, record.id, number)
    ]
    steps += [_notice(record.id, place, told) for place, told in events.items()]
    return sorted(steps, key=lambda step: decision_order(step.place))


def _notice(take: str, place: Place, events: Sequence[Event]) -> Step:
    ended = next((event.kind for event in reversed(events) if event.kind in ("finish", "cancel")), None)
    return Step(take, place, np.zeros(0, np.int16), np.zeros(0, np.int16), events=tuple(events), ended=ended)


def _plain(value: Any) -> Any:
    """An event's value in JSON's own types: a stage's parameters may hold curves, and tuples become lists."""
    if hasattr(value, "to_dict"):
        return _plain(value.to_dict())
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    return value.item() if isinstance(value, np.generic) else value
