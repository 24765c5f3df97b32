"""What no single field of a session can say: that its parts belong together."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

import numpy as np

from valle.adapter_use import STRONGEST
from valle.errors import UserError
from valle.modes import AT_ONCE
from valle.request import LEVELS
from valle.samplers import Stack
from valle.step import MEASURE_NAMES
from valle.take import apart
from valle_lab.session.base import Array
from valle_lab.session.seal import LABELS, seal_of

if TYPE_CHECKING:
    from valle_lab.session.schema import Evidence, Segment, Take, Trace, Trial

STOP = 1024
"""What the autoregressive phase decides in order to stop."""


def check_stack(stack: dict[str, Any]) -> dict[str, Any]:
    """The stack itself; ValueError where it is none that can be run."""
    try:
        Stack.from_dict(stack)
    except UserError as error:
        raise ValueError(str(error)) from None
    return stack


def check_event(kind: str, value: Any) -> None:
    """Raise ValueError where the value is none that an event of this kind can have."""
    match kind:
        case "force":
            wanted, fits = "a token", type(value) is int and 0 <= value <= STOP
        case "move":
            wanted, fits = "a place in the list", type(value) is int and 0 <= value <= 1000
        case "switch":
            wanted, fits = "true or false", type(value) is bool
        case "add":
            wanted, fits = "parameters", value is None or isinstance(value, dict)
        case "replace":
            wanted, fits = "a stack", isinstance(value, dict)
        case "adapter":
            number = isinstance(value, int | float) and not isinstance(value, bool)
            wanted, fits = f"from {-STRONGEST:g} to {STRONGEST:g}", number and abs(value) <= STRONGEST
        case _:
            return
    if not fits:
        raise ValueError(f"value of {kind} must be {wanted}, not {str(value)[:40]!r}")


def check_segment(segment: Segment) -> None:
    """Raise ValueError where levels are of different lengths, or the traces do not tell of them."""
    frames = segment.levels[0].shape[0]
    made = [level for level, codes in enumerate(segment.levels) if codes.shape[0]]
    if made != list(range(len(made))) or any(segment.levels[level].shape[0] != frames for level in made):
        raise ValueError("levels must all have the same number of frames, up to the last one that was made")
    phases = [trace.phase for trace in segment.traces]
    if len(set(phases)) < len(phases):
        raise ValueError("traces has two of one phase")
    for trace in segment.traces:
        _check_trace(trace)
    decided = _decided(segment.traces)
    if len(made) == LEVELS and len(decided) == 1 and len(decided[0]) >= LEVELS * frames:
        decided = dict(enumerate(apart(decided[0])))  # interleaved: one stream of all codebooks
    for level in made:
        if level == 0 and level not in decided:
            continue  # it was given: `check_take` knows by whom
        if not np.array_equal(decided.get(level, ()), segment.levels[level].values()):
            raise ValueError(f"levels[{level}] is not what the traces say was decided")
    if beyond := sorted(level for level in decided if level not in made and len(decided[level])):
        raise ValueError(f"traces tells of level {beyond[0]}, which levels lacks")


def _decided(traces: tuple[Trace, ...]) -> dict[int, Any]:
    """Codes by level as the traces have them; the decision to end is none."""
    decided: dict[int, Any] = {}
    for trace in traces:
        tokens = trace.tokens.values()
        if trace.phase == "ar":
            codes = tokens[:, 0] if tokens.shape[1] else tokens.reshape(-1)
            decided[0] = codes[:-1] if trace.ended == "stop" else codes
        elif trace.phase in ("nar_len", "refine") and len(tokens):
            decided[0] = tokens[-1]
        elif trace.phase == "nar":
            decided |= {level: row for level, row in enumerate(tokens, 1)}
    return decided


def _check_trace(trace: Trace) -> None:
    rows, positions = trace.tokens.shape
    if trace.phase == "nar" and rows >= LEVELS:
        raise ValueError(f"traces: nar decides {LEVELS - 1} levels at most, not {rows}")
    if trace.phase not in AT_ONCE and positions != 1:
        raise ValueError(f"traces: {trace.phase} decides one position a step, not {positions}")
    if trace.phase in ("ar", *AT_ONCE) and rows * positions:
        most = max(int(ids.values().max()) for ids in (trace.tokens, trace.choices) if ids is not None)
        if most > STOP:
            raise ValueError(f"traces: {trace.phase} decides ids up to {STOP}, not {most}")
    _check_shape("choices", trace.choices, (rows, positions))
    for name in ("log_probability", "runner_up", "margin"):
        _check_shape(name, getattr(trace, name), (rows, positions))
    _check_shape("seconds", trace.seconds, (rows,))
    for name in ("hypothesis", "exit_layer", "drafted"):
        _check_shape(name, getattr(trace, name), (rows,))
    _check_shape("masked", trace.masked, (rows, positions))
    _check_evidence("evidence", trace.evidence, rows, positions)
    if trace.null_evidence is not None:
        guided = trace.null_evidence.rows.values()
        if (len(guided) and guided.max() >= rows) or (np.diff(guided) <= 0).any():
            raise ValueError("traces: null_evidence.rows must rise, and be rows of the trace")
        _check_evidence("null_evidence", trace.null_evidence, len(guided), positions)
    stages = len(trace.measures.stages)
    for name in MEASURE_NAMES:
        _check_shape(f"measures.{name}", getattr(trace.measures, name), (stages, rows, positions))


def _check_evidence(name: str, evidence: Evidence, rows: int, positions: int) -> None:
    _check_shape(f"{name}.logsumexp", evidence.logsumexp, (rows, positions))
    _check_shape(f"{name}.chosen", evidence.chosen, (rows, positions))
    if (evidence.top_ids is None) != (evidence.top_logits is None):
        raise ValueError(f"traces: {name} must have top_ids and top_logits, or neither")
    if evidence.top_ids is not None:
        best = evidence.top_ids.shape[2]
        if not 1 <= best <= 64:
            raise ValueError(f"traces: {name}.top_ids must have 1 to 64 ids a position, not {best}")
        _check_shape(f"{name}.top_ids", evidence.top_ids, (rows, positions, best))
        _check_shape(f"{name}.top_logits", evidence.top_logits, (rows, positions, best))


def _check_shape(name: str, array: Array | None, shape: tuple[int, ...]) -> None:
    if array is not None and array.shape != shape:
        raise ValueError(f"traces: {name} is {_shown(array.shape)}, but the tokens make it {_shown(shape)}")


def check_trial(trial: Trial) -> None:
    """Raise ValueError where a trial's order is not one of its takes, or not the one that was sealed."""
    known = (trial.order is None, trial.salt is None, trial.choice is None)
    if len(set(known)) > 1:
        raise ValueError("order, salt and choice are known together, or none of them is")
    if trial.names and len(trial.names) != len(trial.takes):
        raise ValueError(f"names has {len(trial.names)}, but there are {len(trial.takes)} takes")
    if trial.order is None or trial.salt is None or trial.choice is None:
        return
    if sorted(trial.order) != sorted(trial.takes):
        raise ValueError("order must have each of the takes once")
    if trial.choice not in (*LABELS[: len(trial.takes)], "none"):
        raise ValueError(f"choice is {trial.choice}, which no take was called")
    if seal_of(trial.order, trial.salt) != trial.seal:
        raise ValueError("order is not the one that was sealed; the file was damaged or edited")


def _shown(shape: tuple[int, ...]) -> str:
    return " x ".join(map(str, shape))


def check_take(take: Take) -> None:
    """Raise ValueError where a take has segments without sentences, or codes that are not the hashed ones."""
    sentences = len(take.request.sentences)
    if len(take.segments) > sentences:
        raise ValueError(f"segments has {len(take.segments)}, but there are {sentences} sentences")
    if outside := next((event.place for event in take.events if event.place.segment >= sentences), None):
        raise ValueError(f"events has one in segment {outside.segment}, but there are {sentences} sentences")
    if take.fork is not None and take.fork.segment >= sentences:
        raise ValueError(f"fork is in segment {take.fork.segment}, but there are {sentences} sentences")
    if take.parent == take.id:
        raise ValueError("parent is the take itself")
    for name, voice in (("prompt", take.request.prompt), ("null.voice", take.request.null.voice)):
        if voice is None or isinstance(voice, str):
            continue
        if not 1 <= (levels := voice.codes.shape[1]) <= LEVELS:
            raise ValueError(f"request.{name}.codes must have 1 to {LEVELS} levels, not {levels}")
    _check_sources(take)
    for level, recorded in enumerate(take.codes_sha256):
        data = b"".join(segment.levels[level].values().tobytes() for segment in take.segments)
        if hashlib.sha256(data).hexdigest() != recorded:
            raise ValueError(
                f"codes_sha256[{level}] is not that of the codes; the file was damaged or edited"
            )


def _check_sources(take: Take) -> None:
    """Raise ValueError where level 0 was neither decided nor given by the request."""
    sources = take.request.sources
    for number, segment in enumerate(take.segments):
        level_0 = segment.levels[0].values()
        if not len(level_0) or 0 in _decided(segment.traces):
            continue
        given = sources[number].codes.values()[:, 0] if number < len(sources) else ()
        if not np.array_equal(level_0, given):
            raise ValueError(f"segments[{number}].levels[0] is not what the traces say was decided")
