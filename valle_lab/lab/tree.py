"""Takes as a tree: which goes on from which, from where, and how it differs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from valle.changes import stack_after
from valle.fork import ENDINGS
from valle.samplers.stack import Stack
from valle.samplers.stage import Stage, keyed
from valle.step import Place
from valle.take import Take
from valle_lab.lab.state import LabTake

SHOWN = 3
"""How many differences are told one by one."""


@dataclass(frozen=True, slots=True)
class Twig:
    """One take in the tree, in the order in which the tree is drawn."""

    take: str
    parent: str | None
    """None for one that was spoken from its beginning, or whose parent is not here."""
    depth: int
    ends: tuple[bool, ...]
    """At each depth from 1 on, whether it or its ancestor there is the last of its parent's."""
    place: Place | None
    """The first decision of its own."""
    how: str
    """How it differs from its parent there."""
    children: int

    @property
    def leaf(self) -> bool:
        """Whether no take goes on from it."""
        return not self.children

    @property
    def branch(self) -> str:
        """The lines in front of its name."""
        if not self.ends:
            return ""
        before = "".join("   " if end else "│  " for end in self.ends[:-1])
        return before + ("└─ " if self.ends[-1] else "├─ ")

    def __str__(self) -> str:
        where = "" if self.place is None else f"  {self.place}"
        return f"{self.branch}{self.take}{where}{'  ' + self.how if self.how else ''}"


def tree(takes: Sequence[LabTake]) -> tuple[Twig, ...]:
    """The takes in the order of their tree: each before those that go on from it."""
    names = {take.name for take in takes}
    below: dict[str | None, list[LabTake]] = {}
    for take in takes:
        below.setdefault(take.parent if take.parent in names else None, []).append(take)

    def twigs(parent: str | None, ends: tuple[bool, ...]) -> Iterator[Twig]:
        siblings = below.get(parent, [])
        for number, take in enumerate(siblings, 1):
            own = (*ends, number == len(siblings)) if parent is not None else ()
            children = len(below.get(take.name, []))
            yield Twig(take.name, parent, len(own), own, take.fork, take.how, children)
            yield from twigs(take.name, own)

    return tuple(twigs(None, ()))


def how_it_differs(fork: Take, place: Place, parent: Take | None) -> str:
    """What a fork has from its place on that its parent had not, in a few words."""
    here = [event for step in fork.steps if step.place == place for event in step.events]
    words = [f"token {event.value}" for event in here if event.kind == "force"]
    if parent is not None:
        words += stack_changes(stack_at(parent, place), stack_at(fork, place))
        if parent.request.seed != fork.request.seed:
            words.append(f"seed {fork.request.seed}")
    return in_few_words(words)


def stack_at(take: Take, place: Place | None = None) -> Stack:
    """The stack that made the decision at a place, or without one the stack after all changes."""
    events = []
    for step in take.steps:
        events += [event for event in step.events if event.kind not in ENDINGS]
        if step.place == place:
            break
    return stack_after(take.request, events)


def stack_changes(before: Stack, after: Stack) -> list[str]:
    """What was changed, as `temperature.value 0.9 > 0.7`, `+top_k`, `-min_p`."""
    words: list[str] = []
    first = next(iter(after.lists), "ar")
    for name in dict.fromkeys([*before.lists, *after.lists]):
        ours, theirs = (dict(keyed(stack.lists.get(name, ()))) for stack in (before, after))
        prefix = "" if name == first else f"{name}:"
        words += [f"-{prefix}{key}" for key in ours if key not in theirs]
        words += [f"+{prefix}{key}" for key in theirs if key not in ours]
        for key in theirs:
            if key in ours:
                words += [f"{prefix}{word}" for word in _stage_changes(key, ours[key], theirs[key])]
        if list(ours) != list(theirs) and set(ours) == set(theirs):
            words.append(f"{prefix}order")
    return words


def _stage_changes(key: str, before: Stage, after: Stage) -> Iterator[str]:
    if before.on != after.on:
        yield f"{key} {'on' if after.on else 'off'}"
    ours, theirs = (_values(stage) for stage in (before, after))
    for name, value in theirs.items():
        if ours[name] != value:
            yield f"{key}.{name} {_shown(ours[name])} > {_shown(value)}"
    if before.when != after.when:
        yield f"{key}.when"


def _values(stage: Stage) -> Mapping[str, object]:
    defaults = {parameter.name: parameter.default for parameter in stage.declaration.parameters}
    return {**defaults, **stage.parameters}


def _shown(value: object) -> str:
    return f"{value:g}" if isinstance(value, float) else "curve" if hasattr(value, "to_dict") else str(value)


def in_few_words(words: Sequence[str]) -> str:
    """The first differences, and how many more there are."""
    more = f", {len(words) - SHOWN} more" if len(words) > SHOWN else ""
    return ", ".join(words[:SHOWN]) + more
