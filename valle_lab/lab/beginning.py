"""What is asked of the worker with the settings as they are, and the takes that begin so."""

from __future__ import annotations

import secrets
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import count, islice
from typing import TYPE_CHECKING

from valle.errors import UserError
from valle.fork import Fork
from valle.manner import Manner
from valle.request import Prompt
from valle_lab.lab.state import LabTake
from valle_lab.worker.messages import Ask

if TYPE_CHECKING:
    from valle_lab.lab.lab import Lab

NEW_SEEDS = 2**32


def ask(lab: Lab, text: str, manner: Manner | None = None) -> Ask:
    """What the next take would be, in the lab's manner or another.

    Raises UserError where its source is a take that has nothing to hear.
    """
    manner = manner or lab.manner
    sources: tuple[Prompt, ...] = ()
    if manner.source is not None and (heard := lab.find(manner.source)) is not None:
        manner, sources = replace(manner, source=None), codes_of(heard)
    return Ask(
        text=text,
        take=free_name(lab),
        voice=lab.resolved_voice(),
        language=lab.language,
        stack=lab.stack,
        seed=next_seed(lab),
        max_seconds=lab.max_seconds,
        by=lab.by,
        negative_text=lab.negative_text,
        negative_voice=lab.negative_voice,
        part=lab.part,
        adapters=tuple((use.name, use.strength) for use in lab.adapters),
        early_exit=lab.early_exit,
        manner=manner,
        sources=sources,
    )


def next_seed(lab: Lab) -> int:
    """The seed of the next take: the locked one, or one that is drawn."""
    return secrets.randbelow(NEW_SEEDS) if lab.seed is None else lab.seed


def codes_of(take: LabTake) -> tuple[Prompt, ...]:
    """What a take says, a sentence each, for a task that hears it. Raises UserError where it says nothing."""
    if take.begun is None or not take.sounds:
        raise UserError(f"{take.name} has nothing to hear.")
    codec = take.begun.origin.codec.sha256
    return tuple(Prompt(segment.codes(), codec, take.name) for segment in take.segments if segment.frames)


def begin(lab: Lab, asked: Ask) -> LabTake:
    """Have the worker make a take, whose seed is known."""
    assert asked.seed is not None
    speaking = lab.living_worker().speak(asked)
    take = LabTake(asked.take, asked.text, asked.seed, _heard(asked), speaking)
    _add(lab, [take])
    return take


def begin_fork(lab: Lab, fork: Fork, parent: LabTake, how: str) -> LabTake:
    """Have the worker go on from the middle of a take; `how` it differs, in a few words."""
    speaking = lab.living_worker().speak(fork)
    take = LabTake(fork.take, parent.text, fork.request.seed, parent.voice, speaking)
    take.parent, take.fork, take.how = parent.name, fork.place, how
    _add(lab, [take])
    return take


def begin_batch(lab: Lab, text: str, seeds: Sequence[int]) -> list[LabTake]:
    """Have the worker make takes of one text at once, with the settings as they are but these seeds."""
    lab.manner.check_speaks()
    asked = ask(lab, text)
    rows = dict(zip(islice(_free_names(lab), len(seeds)), seeds, strict=True))
    speaking = lab.living_worker().speak_batch(asked, rows)
    made = [LabTake(name, text, seed, asked.voice, speaking[name]) for name, seed in rows.items()]
    _add(lab, made)
    return made


def free_name(lab: Lab) -> str:
    """A name for a take that no other has."""
    return next(_free_names(lab))


def _heard(asked: Ask) -> str | None:
    """Whose voice a take has, or whose speech it tells."""
    if asked.manner.task != "stt":
        return asked.voice
    return asked.sources[0].voice if asked.sources else asked.manner.source or asked.voice


def _add(lab: Lab, takes: Sequence[LabTake]) -> None:
    """Put takes on the list, and look at the first of them."""
    lab.takes.extend(takes)
    lab.chosen, lab.row = takes[0], None
    lab.mark("takes", "seed", "cursor")


def _free_names(lab: Lab) -> Iterator[str]:
    names = {take.name for take in lab.takes}
    return (name for number in count(1) if (name := f"take-{number}") not in names)
