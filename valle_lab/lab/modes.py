"""Commands on what is made and in which manner: task, mode, demasking, and what a take goes on from."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import TYPE_CHECKING, Any

from valle.abilities import DEFAULT_LISTS
from valle.errors import UserError
from valle.manner import DEMASKING, Manner, with_demasking
from valle.modes import MODES, TASKS, Demasking, deciding_phase, phases
from valle.voices import find_voice
from valle_lab.lab.registry import command

if TYPE_CHECKING:
    from valle_lab.lab.lab import Lab

FIRST = "auto"
"""The mode that the model has first."""


def set_task(lab: Lab, task: str) -> None:
    """Set the task of the next take: `tts`, or another that the model has.

    `stt` hears the voice, or what `mode.source` names, which is forgotten when the task is another again;
    `len` tells how long the text would be, `phn` its phonemes, `un-phn` the words of its phonemes. Their
    stack comes with them.
    """
    _check_known("task", task, tasks(lab))
    heard = lab.manner.task == "stt" and task != "stt"
    _set(lab, task=task, source=None if heard else lab.manner.source)
    _complete_stack(lab)


def set_mode(lab: Lab, mode: str) -> None:
    """Set how the next take is made: a mode that the model has, or `auto` for its first.

    The stack gets the lists of its phases.
    """
    _check_known("mode", mode, (FIRST, *_modes(lab)))
    _set(lab, mode=None if mode == FIRST else mode)
    _complete_stack(lab)


def set_demasking(lab: Lab, name: str, value: str) -> None:
    """Set how level 0 is demasked, in modes with `nar-len`: `steps 12`, `start 0.3`, `remasking off`."""
    lab.manner = with_demasking(lab.manner, name, value)
    lab.mark("text")


def set_source(lab: Lab, voice: str = "") -> None:
    """Set the speech that is said in the voice's own (modes `nar` and `nar-len`), or heard (task `stt`).

    A voice, a recording or a take; without one, none.
    """
    if voice and lab.find(voice) is None:
        find_voice(voice, lab.settings.paths.voices)
    _set(lab, source=voice or None)


def set_history(lab: Lab, segments: int) -> None:
    """Set how many of the sentences before it each sentence goes on from."""
    _set(lab, history=segments)


def set_prefix(lab: Lab, on: bool = True, silence: float = 0.0) -> None:
    """Have every sentence go on from the voice's recording itself, or from so many seconds of silence."""
    _set(lab, prefix=on, silence=silence)


def set_refine(lab: Lab, on: bool = True) -> None:
    """Have all of level 0 decided once more after the stop, the likelier one being kept."""
    _set(lab, refine=on)


def set_ar_frames(lab: Lab, frames: int) -> None:
    """Set how many frames the AR writes before the rest is demasked, in the mode `ar+nar-len`."""
    _set(lab, ar_frames=frames)


def show(lab: Lab) -> dict[str, Any]:
    """Show the manner of the next take."""
    return lab.manner.to_dict()


def reset(lab: Lab) -> None:
    """Speak as usual again: the model's first mode, from nothing but the text and the voice."""
    lab.manner = Manner()
    lab.mark("text")


def _complete_stack(lab: Lab) -> None:
    """Put in the lists of phases that are used now and were not before."""
    if lab.stacks is None:
        return
    stack = lab.stacks.value
    for phase in used(lab):
        if phase not in stack.lists:
            stack = stack.replace(phase, DEFAULT_LISTS[phase])
    if stack != lab.stacks.value:
        lab.stacks.change(stack)
        lab.mark("stack")


def _set(lab: Lab, **changes: Any) -> None:
    lab.manner = replace(lab.manner, **changes)
    lab.mark("text")


def _check_known(what: str, name: str, known: tuple[str, ...]) -> None:
    if name not in known:
        raise UserError(f"The model has no {what} {name[:40]!r}; it has {', '.join(known)}.")


def tasks(lab: Lab) -> tuple[str, ...]:
    """The tasks that the model has."""
    return lab.description.tasks if lab.description else TASKS


def deciding(lab: Lab) -> str:
    """The phase that a stage without one is of: that of level 0 of the next take, or its only one."""
    return deciding_phase(lab.manner.task, _mode(lab))


def used(lab: Lab) -> tuple[str, ...]:
    """The phases that the next take goes through."""
    return phases(lab.manner.task, _mode(lab))


def _mode(lab: Lab) -> str:
    return lab.manner.mode or next(iter(_modes(lab)), MODES[0])


def _modes(lab: Lab) -> tuple[str, ...]:
    return lab.description.modes if lab.description else MODES


def _speech(lab: Lab) -> tuple[str, ...]:
    voices = lab.description.voices if lab.description else ()
    return (*voices, *(take.name for take in lab.takes if take.sounds))


def _parameters(lab: Lab) -> tuple[str, ...]:
    return DEMASKING


def _value(lab: Lab) -> tuple[str, ...]:
    return tuple(f"{getattr(lab.manner.demasking, field.name)}" for field in fields(Demasking))


COMMANDS = (
    command("mode.task", set_task, complete={"task": tasks}),
    command("mode.choose", set_mode, complete={"mode": lambda lab: (FIRST, *_modes(lab))}),
    command("mode.demasking", set_demasking, complete={"name": _parameters, "value": _value}),
    command("mode.source", set_source, complete={"voice": _speech}, rest="voice"),
    command("mode.history", set_history),
    command("mode.prefix", set_prefix),
    command("mode.refine", set_refine),
    command("mode.ar_frames", set_ar_frames),
    command("mode.show", show),
    command("mode.reset", reset),
)
