"""Commands on how a take was made: all about it, and its settings taken back for the next one."""

from __future__ import annotations

import json
import shlex
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from valle.errors import UserError
from valle.request import FRAME_RATE
from valle.samplers.errors import StackError
from valle.samplers.stack import Stack
from valle.samplers.stage import keyed
from valle_lab.lab.registry import command
from valle_lab.lab.stack import replace_stack
from valle_lab.lab.state import LabTake
from valle_lab.lab.takes import named, no_takes, not_ready, take_names
from valle_lab.lab.text import set_limit, set_seed, set_text
from valle_lab.lab.voices import choose, without

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
        "task": request.task,
        "mode": request.mode if told.speaks else "",
        "phonemes": " ".join(sentence.phonemes for sentence in request.sentences),
        "changes": changes,
        **lists,
    }


def recall(lab: Lab, take: str | None = None) -> None:
    """Take text, voice, seed, limit, task, mode and stack of a take back, to go on from there.

    The stack is the one that it began with; the part of the voice's recording is all of it.
    """
    told = named(lab, take)
    if told.begun is None:
        raise UserError(f"{told.name} never began; there is nothing to take back.")
    request = told.begun.request
    if told.speaks:
        _recall_voice(lab, told.voice)
    if told.text:
        set_text(lab, told.text)
    set_seed(lab, told.seed)
    set_limit(lab, request.max_frames / FRAME_RATE)
    first = lab.description.modes[:1] if lab.description else ()
    mode = lab.manner.mode if not told.speaks else None if request.mode in first else request.mode
    lab.manner = replace(lab.manner, task=request.task, mode=mode)
    lab.language = request.language
    replace_stack(lab, request.stack)
    lab.mark("text", "voices")
    undo = lab.hint("stack.undo")
    lab.tell(f"Text, voice, seed and stack are those of {told.name}; {undo} has the stack before.")


def _recall_voice(lab: Lab, voice: str | None) -> None:
    """Choose the voice of a take; where it is not here any more, that is told and the voice stays."""
    if voice == lab.resolved_voice():
        return
    if voice is None:
        without(lab)
        return
    try:
        choose(lab, voice)
    except UserError as error:
        lab.tell(str(error), error=True)


def said_again(take: LabTake, usual: Stack | None) -> str:
    """The command line that speaks a take's text with its voice, seed and stack.

    What the stack has otherwise than the model's `usual` one is set; where nothing leads there, it says so.
    """
    words = ["valle-lab", "say", take.text, "--seed", str(take.seed)]
    words += ["--voice", take.voice] if take.voice else []
    if take.begun is None or usual is None:
        return shlex.join(words)
    words += ["--language", take.begun.request.language]
    settings = settings_between(usual, take.begun.request.stack)
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


def _cannot_recall(lab: Lab) -> str | None:
    return no_takes(lab) or not_ready(lab)


COMMANDS = (
    command("take.about", about, unavailable=no_takes, complete={"take": take_names}),
    command("take.recall", recall, unavailable=_cannot_recall, complete={"take": take_names}),
)
