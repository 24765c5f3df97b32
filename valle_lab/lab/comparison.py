"""Commands on A/B: one text on two stacks with the same noise, where they part, and both to be heard."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from valle.errors import UserError
from valle.samplers.stack import Stack
from valle_lab.differences import peculiarities
from valle_lab.lab.audition import stack_of
from valle_lab.lab.beginning import ask, begin, free_name
from valle_lab.lab.listening import around
from valle_lab.lab.registry import command
from valle_lab.lab.stack import current
from valle_lab.lab.state import LabTake
from valle_lab.lab.takes import named, no_takes, not_ready, take_names
from valle_lab.worker.messages import Ask

if TYPE_CHECKING:
    from valle_lab.lab.lab import Lab
    from valle_lab.session.diff import Parting

Then = Callable[[Sequence[LabTake]], object]


@dataclass(frozen=True, slots=True)
class Comparison:
    """Two takes beside each other; `take.ab` goes from one to the other at the same place of the sound."""

    takes: tuple[str, str]
    words: tuple[str, str]
    """What each of them stands for: a preset, or what it has otherwise than the other."""
    same_noise: bool
    """Whether both were decided on the same noise: then only the stacks make the difference."""
    parting: Parting | None
    """The first decision that differs; None where there is none."""
    row: int | None
    """That decision on the timeline of the first take."""
    seconds: float | None
    """When its frame sounds."""


class InTurn:
    """Takes that are made one after the other, and what is done with them then; changes do not reach them."""

    def __init__(self, lab: Lab, asks: Sequence[Ask], then: Then) -> None:
        self.takes: list[LabTake] = []
        self.over = False
        self._lab, self._asks, self._then = lab, list(asks), then

    def poll(self) -> None:
        """Begin the next one, or hand all of them on."""
        if self._lab.running is not None or self.over:
            return
        if len(self.takes) < len(self._asks) and not any(take.begun is None for take in self.takes):
            asked = self._asks[len(self.takes)]
            take = begin(self._lab, replace(asked, take=free_name(self._lab)))
            take.fixed = True
            self.takes.append(take)
            return
        self.over = True
        self._then(self.takes)


def hold(lab: Lab) -> None:
    """Hold the stack as it is as side A; what it is changed to afterwards is side B."""
    lab.held = current(lab)
    lab.tell("The stack is held as side A; change it, then ab.speak or, blind, trial.speak.")
    lab.mark("stack")


def speak(lab: Lab, text: str | None = None) -> None:
    """Speak the text with the held stack and with the one as it is, on the same noise, and compare."""
    both_sides(lab, text, lambda takes: compare(lab, takes))


def presets(lab: Lab, one: str, other: str) -> None:
    """Speak the text with the stacks of two presets, on the same noise, and compare."""
    stacks = [stack_of(lab, one), stack_of(lab, other)]
    in_turn(lab, None, stacks, lambda takes: compare(lab, takes, (one, other)))


def take_pair(lab: Lab, one: str, other: str) -> Comparison:
    """Compare two takes that are there."""
    return compare(lab, [named(lab, one), named(lab, other)])


def show(lab: Lab) -> Comparison:
    """Show what is compared: what each side has otherwise, and where they part."""
    assert lab.comparison is not None
    return lab.comparison


def parting(lab: Lab) -> Comparison:
    """Go to the first decision that differs, and hear half a second around it; `take.ab` switches sides."""
    found = show(lab)
    if found.row is None or found.seconds is None:
        raise UserError(f"{found.takes[0]} and {found.takes[1]} do not part: their codes are the same.")
    if lab.chosen is None or lab.chosen.name not in found.takes:
        lab.chosen = named(lab, found.takes[0])
    lab.row = found.row
    lab.mark("takes", "cursor")
    if lab.player is not None and lab.player.sink.audible:
        around(lab, found.seconds)
    return found


def both_sides(lab: Lab, text: str | None, then: Then) -> None:
    """Make the takes of the held stack and of the one as it is. Raises UserError where they are the same."""
    if lab.held is None:
        raise UserError("No stack is held as side A; ab.hold holds the one as it is.")
    if lab.held == current(lab):
        raise UserError("The stack is still the one that is held; change it first.")
    in_turn(lab, text, [lab.held, current(lab)], then)


def in_turn(lab: Lab, text: str | None, stacks: Sequence[Stack], then: Then) -> None:
    """Speak a text on each of these stacks, all else and the seed being the same."""
    spoken = (lab.text if text is None else text).strip()
    if not spoken:
        raise UserError("There is no text to speak; text.set gives one.")
    lab.manner.check_speaks()
    asked = ask(lab, spoken)
    lab.works.append(InTurn(lab, [replace(asked, stack=stack) for stack in stacks], then))


def compare(lab: Lab, takes: Sequence[LabTake], names: Sequence[str] = ()) -> Comparison:
    """Put two takes beside each other. Raises UserError where they have too little in common."""
    from valle_lab.session.diff import first_parting

    check_comparable(takes)
    one, other = takes
    requests = [item.begun.request for item in takes if item.begun is not None]
    words = names or peculiarities(requests)
    parted = first_parting(one.take, other.take)
    row = None if parted is None else _row(one, parted)
    lab.comparison = Comparison(
        takes=(one.name, other.name),
        words=(words[0], words[1]),
        same_noise=requests[0].seed == requests[1].seed,
        parting=parted,
        row=row,
        seconds=None if row is None else one.timeline.seconds(row),
    )
    lab.pair, lab.chosen, lab.row = (one.name, other.name), one, row
    lab.mark("takes", "cursor")
    return lab.comparison


def check_comparable(takes: Sequence[LabTake]) -> None:
    """Raise UserError unless these are different takes of one model and text that are over."""
    if len({take.name for take in takes}) < len(takes):
        raise UserError(f"{takes[0].name} is to be compared with itself; name two different takes.")
    for take in takes:
        if take.running:
            raise UserError(f"{take.name} is still being made.")
        if take.begun is None:
            raise UserError(f"{take.name} never began, and cannot be compared.")
    first, *others = [take.begun for take in takes if take.begun is not None]
    for other in others:
        names = f"{first.request.take} and {other.request.take}"
        for kind in ("model", "codec"):
            sides = [getattr(begun.origin, kind) for begun in (first, other)]
            if sides[0].sha256 != sides[1].sha256:
                told = " and ".join(f"{side.name} {side.sha256[:8]}" for side in sides)
                raise UserError(f"{names} are of different {kind}s, {told}; compare takes of one {kind}.")
        ids = [[sentence.ids for sentence in begun.request.sentences] for begun in (first, other)]
        if ids[0] != ids[1]:
            told = " and ".join(f"{sum(map(len, side))} phonemes" for side in ids)
            raise UserError(f"{names} speak different texts, of {told}; compare takes of one text.")


def _row(take: LabTake, parted: Parting) -> int:
    """The decision of level 0 that a parting belongs to: itself, or that of the same frame."""
    starts = take.timeline.segment_starts
    start = starts[parted.segment] if parted.segment < len(starts) else len(take.timeline)
    frame = parted.step if parted.phase == "ar" else parted.position
    return max(0, min(start + frame, len(take.timeline) - 1))


def _nothing(lab: Lab) -> str | None:
    return None if lab.comparison is not None else "nothing is compared; ab.takes compares two takes."


COMMANDS = (
    command("ab.hold", hold),
    command("ab.speak", speak, unavailable=not_ready, rest="text"),
    command("ab.presets", presets, unavailable=not_ready),
    command("ab.takes", take_pair, unavailable=no_takes, complete={"one": take_names, "other": take_names}),
    command("ab.show", show, unavailable=_nothing),
    command("ab.parting", parting, unavailable=_nothing),
)
