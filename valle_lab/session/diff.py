"""Two takes side by side: what was asked for, where they part, and what was measured around there."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from valle.request import FRAME_RATE, LEVELS
from valle.step import Place, Step
from valle.take import Segment, Take
from valle_lab.session import schema
from valle_lab.session.convert import decision_order, from_session_place, from_session_take

MEASURED = ("entropy", "varentropy", "kept", "rank", "probability", "stop_probability")


@dataclass(frozen=True, slots=True)
class Parting:
    """The first decision that differs; a token is None where one take had ended."""

    segment: int
    phase: str
    level: int
    step: int
    position: int
    seconds: float
    """Of audio, from the start of the segment."""
    tokens: tuple[int | None, int | None]


@dataclass(frozen=True, slots=True)
class LevelDifference:
    """One level of one segment in both takes."""

    segment: int
    level: int
    frames: tuple[int, int]
    parts_at: int | None
    """The first frame that differs, or that only one take has; None if there is none."""
    equal: float
    """Share of equal codes among the frames that both have."""


@dataclass(frozen=True, slots=True)
class StepPair:
    """One autoregressive decision in both takes; a side is None where that take had ended."""

    segment: int
    step: int
    tokens: tuple[int | None, int | None]
    margin: tuple[float | None, float | None]
    measures: dict[str, tuple[dict[str, float] | None, dict[str, float] | None]]
    """By stage, from raw to the last one; a side is None where the stage was not there."""


@dataclass(frozen=True, slots=True)
class Difference:
    """What lies between two takes."""

    asked: dict[str, tuple[Any, Any]]
    """What was asked for and differs, by name."""
    stops: tuple[tuple[str, ...], tuple[str, ...]]
    first: Parting | None
    levels: tuple[LevelDifference, ...]
    steps: tuple[StepPair, ...]

    @property
    def same(self) -> bool:
        """Whether both takes have the same codes, and ended in the same way."""
        return self.first is None and self.stops[0] == self.stops[1]

    def to_dict(self) -> dict[str, Any]:
        """The same in JSON's types."""
        return {"same": self.same, **asdict(self)}


def difference(one: schema.Take, other: schema.Take) -> Difference:
    """Compare two takes, decision by decision. Raises UserError for a take that this version cannot read."""
    takes = from_session_take(one), from_session_take(other)
    return Difference(
        asked=_asked(one, other),
        stops=(_stops(takes[0]), _stops(takes[1])),
        first=first_parting(*takes),
        levels=tuple(_levels(*takes)),
        steps=tuple(_pairs(*takes)),
    )


def _asked(one: schema.Take, other: schema.Take) -> dict[str, tuple[Any, Any]]:
    sides = _asked_by_name(one), _asked_by_name(other)
    return {name: (value, sides[1][name]) for name, value in sides[0].items() if value != sides[1][name]}


def _asked_by_name(take: schema.Take) -> dict[str, Any]:
    request = take.request
    return {
        "model": f"{take.origin.model.name} {take.origin.model.sha256[:12]}",
        "codec": f"{take.origin.codec.name} {take.origin.codec.sha256[:12]}",
        "text": " ".join(sentence.text for sentence in request.sentences),
        "phonemes": " ".join(sentence.phonemes for sentence in request.sentences),
        "language": request.language,
        "voice": None if request.prompt is None else request.prompt.voice,
        "prompt": None if request.prompt is None else request.prompt.codes.base64[:24],
        "null": [_named(request.null.text), _named(request.null.voice)],
        "seed": request.seed,
        "mode": f"{request.task} {request.mode}",
        "limits": [request.max_frames, request.max_levels],
        "fork": None if take.fork is None else f"{take.parent} {from_session_place(take.fork)}",
        "stack": request.stack,
        "events": [event.model_dump() for event in take.events],
        "recipe": request.recipe.model_dump(),
    }


def _named(part: schema.Sentence | schema.Prompt | str) -> str:
    """What the null pass was given, in a few words."""
    match part:
        case schema.Sentence():
            return part.phonemes
        case schema.Prompt():
            return f"{part.voice} {part.codes.base64[:24]}"
    return part


def _stops(take: Take) -> tuple[str, ...]:
    return tuple(segment.stop for segment in take.segments)


def first_parting(one: Take, other: Take) -> Parting | None:
    """The first decision, in the order in which they are made, that differs between two takes."""
    sides = [{step.place: step for step in take.steps if len(step.tokens)} for take in (one, other)]
    for place in sorted({*sides[0], *sides[1]}, key=decision_order):
        ours, theirs = sides[0].get(place), sides[1].get(place)
        tokens = [np.zeros(0, np.int16) if step is None else step.tokens for step in (ours, theirs)]
        position = _first_difference(*tokens)
        if position is not None:
            return _parting(place, position, (_token(ours, position), _token(theirs, position)))
    return None


def _parting(place: Place, position: int, tokens: tuple[int | None, int | None]) -> Parting:
    frame = place.step if place.phase == "ar" else position
    seconds = round(frame / FRAME_RATE, 3)
    return Parting(place.segment, place.phase, place.level, place.step, position, seconds, tokens)


def _token(step: Step | None, position: int) -> int | None:
    return None if step is None or position >= len(step.tokens) else int(step.tokens[position])


def _first_difference(one: NDArray[Any], other: NDArray[Any]) -> int | None:
    common = min(len(one), len(other))
    parted = np.flatnonzero(one[:common] != other[:common])
    if len(parted):
        return int(parted[0])
    return None if len(one) == len(other) else common


def _levels(one: Take, other: Take) -> Iterator[LevelDifference]:
    nothing = Segment((np.zeros(0, np.int16),) * LEVELS, "cancel")
    for number in range(max(len(one.segments), len(other.segments))):
        sides = [take.segments[number] if number < len(take.segments) else nothing for take in (one, other)]
        for level in range(LEVELS):
            ours, theirs = (side.levels[level] for side in sides)
            common = min(len(ours), len(theirs))
            equal = float((ours[:common] == theirs[:common]).mean()) if common else 1.0
            lengths = len(ours), len(theirs)
            yield LevelDifference(number, level, lengths, _first_difference(ours, theirs), equal)


def _pairs(one: Take, other: Take) -> Iterator[StepPair]:
    sides = [
        {step.place: step for step in take.steps if step.place.phase == "ar" and len(step.tokens)}
        for take in (one, other)
    ]
    for place in sorted({*sides[0], *sides[1]}):
        ours, theirs = sides[0].get(place), sides[1].get(place)
        measured = _measured(ours), _measured(theirs)
        stages = [*measured[0], *(stage for stage in measured[1] if stage not in measured[0])]
        yield StepPair(
            segment=place.segment,
            step=place.step,
            tokens=(_token(ours, 0), _token(theirs, 0)),
            margin=(_margin(ours), _margin(theirs)),
            measures={stage: (measured[0].get(stage), measured[1].get(stage)) for stage in stages},
        )


def _measured(step: Step | None) -> dict[str, dict[str, float]]:
    if step is None:
        return {}
    return {item.stage: {name: float(getattr(item, name)[0]) for name in MEASURED} for item in step.measures}


def _margin(step: Step | None) -> float | None:
    if step is None or not len(step.margin) or not np.isfinite(step.margin[0]):
        return None
    return float(step.margin[0])
