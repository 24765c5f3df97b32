"""How a take was made: all about it, and the command line that says it again."""

from __future__ import annotations

import json
import shlex
from typing import TYPE_CHECKING, Any

from valle.request import FRAME_RATE, NullBranch, Prompt
from valle.samplers.errors import StackError
from valle.samplers.stack import Stack
from valle.samplers.stage import keyed
from valle_lab.lab.registry import command
from valle_lab.lab.state import LabTake
from valle_lab.lab.takes import named, no_takes, take_names

if TYPE_CHECKING:
    from valle_lab.lab.lab import Lab


def about(lab: Lab, take: str | None = None) -> dict[str, Any]:
    """Say all about a take: its text and what it came to in full, how it was made, and with which stack."""
    told = named(lab, take)
    facts = {
        "take": told.name,
        "text": told.text,
        "answer": told.answer,
        "failure": told.failure,
        "stop": told.stop or "running",
        "seconds": f"{told.timeline.frames / FRAME_RATE:.2f}" if told.speaks else "",
        "voice": told.voice or "none",
        "seed": told.seed,
        "goes on from": "" if told.fork is None else f"{told.parent} at {told.fork}, {told.how}",
        "stars": "" if told.rating is None else f"{told.rating:g}",
        "notes": list(told.notes),
    }
    return {name: fact for name, fact in {**facts, **_request(told)}.items() if fact not in (None, "", [])}


def _request(told: LabTake) -> dict[str, Any]:
    """What the worker was asked for, and the changes while it was made."""
    if told.begun is None:
        return {}
    request = told.begun.request
    events = (event for step in told.steps for event in step.events)
    changes = [
        f"{event.place} {event.kind} {event.name} {'' if event.kind == 'replace' else event.value}".rstrip()
        for event in events
    ]
    lists = {name: stages for name, stages in request.stack.to_dict().items() if _is_of(request.phases, name)}
    return {
        "language": request.language,
        "part of the voice": _part(request.prompt),
        "led away from": _negative(request.null),
        "adapters": [f"{use.name} at {use.strength:g}" for use in request.recipe.adapters],
        "layers": "" if request.recipe.early_exit is None else str(request.recipe.early_exit),
        "task": request.task,
        "mode": request.mode if told.speaks else "",
        "phonemes": " ".join(sentence.phonemes for sentence in request.sentences),
        "changes": changes,
        **lists,
    }


def _part(prompt: Prompt | None) -> str:
    """Which part of the voice's recording was the prompt, where it was not all of it."""
    part = None if prompt is None else prompt.part
    return "" if part is None or part.is_whole else str(part)


def _negative(null: NullBranch) -> str:
    """What guidance led away from, where it was not a pass without text and voice."""
    if null.is_bare:
        return ""
    text = null.text if isinstance(null.text, str) else repr(null.text.text)
    voice = null.voice if isinstance(null.voice, str) else null.voice.voice
    return f"text {text}, voice {voice}"


def said_again(take: LabTake, usual: Stack | None) -> str:
    """The command line that speaks a take's text with its voice, seed and stack.

    What the stack has otherwise than the model's `usual` one is set; where nothing leads there, it says so.
    """
    words = ["valle-lab", "say", take.text, "--seed", str(take.seed)]
    words += ["--voice", take.voice] if take.voice else []
    if take.begun is None or usual is None:
        return shlex.join(words)
    request = take.begun.request
    words += ["--language", request.language, "--mode", request.mode]
    part = None if request.prompt is None else request.prompt.part
    if part is not None and part.seconds is not None:
        words += ["--prompt", f"{part.start:g}+{part.seconds:g}"]
    if take.stop == "length":
        words += ["--max-duration", f"{request.max_frames / FRAME_RATE:g}"]
    settings = settings_between(usual, request.stack)
    if settings is None:
        return f"{shlex.join(words)}  # and its stack, which no --set leads to; take.recall brings it back"
    return shlex.join([*words, *(word for setting in settings for word in ("--set", setting))])


def settings_between(before: Stack, after: Stack) -> list[str] | None:
    """The settings that make one stack of another, as `--set` takes them; None where none lead there."""
    settings: list[str] = []
    for name, stages in after.lists.items():
        known = {key: {"on": True, **stage.to_dict()} for key, stage in keyed(before.lists.get(name, ()))}
        for key, stage in keyed(stages):
            then, now = known.get(key, {}), {"on": True, **stage.to_dict()}
            changed = [item for item in now if item != "name" and now[item] != then.get(item)]
            settings += [f"{name}:{key}.{item}={_typed(now[item])}" for item in changed]
    made = before
    try:
        for setting in settings:
            made = made.set_text(setting)
    except StackError:
        return None
    return settings if made.effective_dict() == after.effective_dict() else None


def _typed(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _is_of(phases: tuple[str, ...], name: str) -> bool:
    return name.partition(".")[0] in phases


COMMANDS = (command("take.about", about, unavailable=no_takes, complete={"take": take_names}),)
