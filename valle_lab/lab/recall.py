"""The command that takes the settings of a take back for the next one."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

from valle.errors import UserError
from valle.manner import Manner
from valle.request import FRAME_RATE, NullBranch, Part, Request, Sentence
from valle_lab.lab.adapters import strength
from valle_lab.lab.registry import command
from valle_lab.lab.stack import replace_stack
from valle_lab.lab.state import LabTake
from valle_lab.lab.takes import named, no_takes, not_ready, take_names
from valle_lab.lab.text import set_limit, set_seed, set_text
from valle_lab.lab.tree import stack_at
from valle_lab.lab.voices import NONE, choose, found, prompt_wave, set_negative, without

if TYPE_CHECKING:
    from valle_lab.lab.lab import Lab


def recall(lab: Lab, take: str | None = None) -> None:
    """Take text, voice with its part, seed, limit, task, mode, adapters, layers and stack of a take back.

    The stack is the one that it, or what it has of its own as a fork, began with. What cannot come back is
    told.
    """
    told = named(lab, take)
    if told.begun is None:
        raise UserError(f"{told.name} never began; there is nothing to take back.")
    request = told.begun.request
    if told.text:
        set_text(lab, told.text)
    set_seed(lab, told.seed)
    set_limit(lab, request.max_frames / FRAME_RATE)
    lab.manner = _manner(lab, told, request)
    lab.language = request.language
    lacks = [*(_voice(lab, told.voice, request) if told.speaks else ()), *_negative(lab, request.null)]
    lacks += [*_adapters(lab, request), *_layers(lab, request)]
    stack = request.stack if told.fork is None else stack_at(told.take, told.fork)
    changed = stack_at(told.take) != stack
    replace_stack(lab, stack)
    lab.mark("text", "voices", "settings")
    began = ", which was changed while it was made (take.about)" if changed else ""
    undo = lab.hint("stack.undo")
    lab.tell(f"Text, voice, seed and stack are those of {told.name}{began}; {undo} has the stack before.")
    if lacks:
        lab.tell(f"Not as in {told.name}: {'; '.join(lacks)}.", error=True)


def _manner(lab: Lab, told: LabTake, request: Request) -> Manner:
    """Task, mode and what they take; who made the phonemes no take says."""
    if not told.speaks:
        return replace(lab.manner, task=request.task)
    first = lab.description.modes[:1] if lab.description else ()
    begins = request.prefix
    said = begins is not None and bool(begins.sentence.ids)
    return replace(
        lab.manner,
        task=request.task,
        mode=None if request.mode in first else request.mode,
        demasking=request.demasking,
        history=request.history,
        ar_frames=request.ar_frames,
        refine=request.refine,
        source=(request.sources[0].voice or None) if request.sources else None,
        prefix=said,
        silence=len(begins.codes) / FRAME_RATE if begins is not None and not said else 0.0,
    )


def _voice(lab: Lab, voice: str | None, request: Request) -> Iterator[str]:
    """Choose the voice of a take, of it the part that was the prompt; why not, where that cannot be."""
    if voice is None:
        without(lab)
        return
    if voice != lab.resolved_voice() and (lack := _lacking(lambda: choose(lab, voice))) is not None:
        yield lack
        return
    lab.part = Part()
    if request.prompt is None:
        return
    part = request.prompt.part
    if part is None:
        yield "which part of the voice's recording it had is not known"
    elif (lack := _lacking(lambda: prompt_wave(found(lab, voice), part))) is not None:
        yield lack
    else:
        lab.part = part


def _negative(lab: Lab, null: NullBranch) -> Iterator[str]:
    """What guidance led away from."""
    lab.negative_text = lab.negative_voice = None
    if null.is_bare:
        return
    if null.text != "same":
        # No text at all is asked for by one that says nothing.
        lab.negative_text = null.text.text if isinstance(null.text, Sentence) else " "
    if null.voice != "same":
        name = NONE if isinstance(null.voice, str) else null.voice.voice
        if (lack := _lacking(lambda: set_negative(lab, name))) is not None:
            yield lack


def _adapters(lab: Lab, request: Request) -> Iterator[str]:
    """Bring the adapters that are loaded to the strengths that the take began with."""
    used = {use.sha256: use for use in request.recipe.adapters}
    for use in lab.adapters:
        own = used.pop(use.sha256, None)
        strength(lab, use.name, 0.0 if own is None else own.strength)
    for use in used.values():
        if use.strength:
            yield f"the adapter {use.name} at {use.strength:g} is not loaded, adapter.load does that"


def _layers(lab: Lab, request: Request) -> Iterator[str]:
    """Have as many layers decide as in the take."""
    exits = request.recipe.early_exit
    layers = lab.description.layers if lab.description else 0
    if exits is not None and layers and (lack := _lacking(lambda: exits.check(layers))) is not None:
        yield lack
    else:
        lab.early_exit = exits


def _lacking(act: Callable[[], object]) -> str | None:
    """Do it; why it cannot be done, where it cannot."""
    try:
        act()
    except UserError as error:
        return str(error).rstrip(".")
    return None


def _cannot_recall(lab: Lab) -> str | None:
    return no_takes(lab) or not_ready(lab)


COMMANDS = (command("take.recall", recall, unavailable=_cannot_recall, complete={"take": take_names}),)
