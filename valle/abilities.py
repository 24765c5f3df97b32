"""What a model can do, by its configuration, and the lists of stages that phases need. Needs no torch."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from valle.errors import UserError
from valle.models.config import LENGTH_TOKENS, ModelConfig
from valle.modes import MODES, PHASE_OF_TASK, SPEECH_TASKS, phases
from valle.request import LEVELS, Request
from valle.samplers.stack import Stack

_GREEDY: list[dict[str, Any]] = [{"name": "greedy"}]
DEFAULT_LISTS: Mapping[str, list[dict[str, Any]]] = {
    "ar": [{"name": "temperature", "value": 1.0}, {"name": "draw"}],
    "nar": _GREEDY,
    "nar_len": [
        {"name": "guidance", "scale": 3.0, "rescale": 0.75, "rescale_over": "sequence"},
        {"name": "greedy"},
    ],
    **dict.fromkeys(PHASE_OF_TASK.values(), _GREEDY),
}
"""What decides a phase where neither the request nor the model names anything."""


def tasks_of(config: ModelConfig) -> tuple[str, ...]:
    """The tasks that a model has the parts for."""
    speech = SPEECH_TASKS if modes_of(config) else ()
    return (*speech, *(task for task, phase in PHASE_OF_TASK.items() if _lacking(config, [phase]) is None))


def modes_of(config: ModelConfig) -> tuple[str, ...]:
    """The modes of speech that a model has the parts for, those of a model of level 0 going no further."""
    if config.interleave:
        return ("interleaved",) if "ar" in config.capabilities and config.audio_levels == LEVELS else ()
    above = levels_of(config) > 1
    needed = {mode: [phase for phase in phases("tts", mode) if above or phase != "nar"] for mode in MODES}
    return tuple(
        mode
        for mode in MODES
        if mode != "interleaved" and needed[mode] and _lacking(config, needed[mode]) is None
    )


def default_mode(config: ModelConfig) -> str:
    """The mode of a model where none is asked for: the first that it has."""
    return next(iter(modes_of(config)), MODES[0])


def levels_of(config: ModelConfig) -> int:
    """How many levels a model makes: level 0 alone where it has no NAR and interleaves none."""
    if "nar" not in config.capabilities and not config.interleave:
        return 1
    last = config.rvq_level_range[-1] if config.rvq_level_range else LEVELS - 1
    return min(LEVELS, config.audio_levels, last + 1)


def able_lists(config: ModelConfig, lists: Mapping[str, Any]) -> dict[str, Any]:
    """Of the lists of a stack those whose phases the model has the parts for."""
    return {
        name: stages for name, stages in lists.items() if _lacking(config, [name.partition(".")[0]]) is None
    }


def check_able(config: ModelConfig, request: Request, name: str) -> None:
    """Raise UserError where the model `name` lacks what a request needs."""
    needed = [phase for phase in request.phases if phase != "nar" or request.max_levels > 1]
    if request.demasking.frames or request.sources:
        needed = [phase for phase in needed if phase != "len"]
    lacking = _lacking(config, needed)
    if request.task in SPEECH_TASKS and config.interleave != (request.mode == "interleaved"):
        lacking = "codebooks that are interleaved" if not config.interleave else "levels of their own"
    elif request.mode == "interleaved" and config.audio_levels != LEVELS:
        lacking = f"{LEVELS} codebooks in turn"
    if lacking is None:
        return
    if request.task in SPEECH_TASKS:
        wanted, kind, able = f"{request.task} in mode {request.mode}", "Modes", modes_of(config)
    else:
        wanted, kind, able = request.task, "Tasks", tasks_of(config)
    raise UserError(
        f"The model {name} has no task {wanted}: it lacks {lacking}. "
        f"{kind} that it has: {', '.join(able) or 'none'}."
    )


def completed(stack: Stack, named: Iterable[str], config: ModelConfig) -> Stack:
    """The stack with a list for each of these phases, of the ids that the phase may decide.

    Where one head serves all phases, what is not of the phase is banned by a stage that can be seen.
    """
    for phase in named:
        if phase not in stack.lists:
            stack = stack.replace(phase, DEFAULT_LISTS[phase])
    if config.split_classifiers or config.classifier_offsets:
        return stack
    for name, stages in stack.lists.items():
        phase = name.partition(".")[0]
        if not any(stage.name == "allowed_range" for stage in stages):
            stack = stack.add(f"{name}:allowed_range", {"first": 0, "last": ids_of(config, phase) - 1})
    return stack


def ids_of(config: ModelConfig, phase: str) -> int:
    """How many ids a phase decides among."""
    sizes = {
        "ar": config.audio_tokens + 1,
        "nar": config.audio_tokens,
        "nar_len": config.audio_tokens,
        "len": LENGTH_TOKENS,
        "un_phn": config.text_tokens,
    }
    return sizes.get(phase, config.phoneme_tokens)


def _lacking(config: ModelConfig, needed: Iterable[str]) -> str | None:
    """The first thing that one of these phases needs and the model does not have."""
    able = config.capabilities
    has_text = config.text_tokens > 0
    lacks = {
        "ar": None if "ar" in able else "a level 0 that is written frame by frame (ar)",
        "nar": None if "nar" in able else "levels above 0 (nar)",
        "nar_len": None if {"nar", "len"} <= set(able) else "a level 0 that is demasked (len)",
        "len": None if "len" in able else "a prediction of lengths (len)",
        "phn": None if has_text else "an embedding of text",
        "un_phn": None if has_text and config.version >= 6 else "a head of text",
    }
    return next((lacks[phase] for phase in needed if lacks.get(phase)), None)
