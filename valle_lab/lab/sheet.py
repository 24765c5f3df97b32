"""Commands on seed sheets: one text with many seeds at once, sorted by signs of failure, kept or dropped."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from valle.audio.wav import Wave
from valle.batch import MOST_ROWS
from valle.errors import UserError
from valle.request import FRAME_RATE, SEED_LIMIT
from valle_lab.failures import Check, checks, strain
from valle_lab.lab.beginning import begin_batch, next_seed
from valle_lab.lab.listening import play
from valle_lab.lab.registry import command
from valle_lab.lab.state import LabTake
from valle_lab.lab.takes import HIDDEN, KEPT, named, no_takes, not_ready, take_names, with_wave

if TYPE_CHECKING:
    from valle_lab.lab.lab import Lab

SHEET_KEYS = {
    "n": "sheet.next",
    "b": "sheet.back",
    "r": "sheet.hear",
    "k": "sheet.keep",
    "d": "sheet.drop",
    "q": "sheet.stop",
}
"""Single keys for whoever draws a sheet."""
ORDERS = ("failures", "seed", "pace", "silence", "run", "start")
_SEEDS = re.compile(r"(\d{1,20})(?:-(\d{1,20}))?")


@dataclass(frozen=True, slots=True)
class SheetRow:
    """One take of a sheet, as it stands."""

    number: int
    """Its place in the order, from 1."""
    take: str
    seed: int
    doing: str
    """What is being made of it; empty when it is over."""
    fraction: float
    """How much of it is made, 0 to 1; a guess."""
    stop: str
    seconds: float
    """Of sound so far."""
    checks: tuple[Check, ...]
    """Once it is over and its sound is there."""
    kept: bool
    dropped: bool
    heard: bool
    """Whether it is the one that was heard last."""

    @property
    def failures(self) -> tuple[str, ...]:
        """The names of the checks that failed."""
        return tuple(check.name for check in self.checks if check.failed)


@dataclass(frozen=True, slots=True)
class SheetView:
    """A sheet as it stands: its rows in order."""

    text: str
    order: str
    rows: tuple[SheetRow, ...]
    over: bool
    """Whether all rows are made and checked."""


class Sheet:
    """The takes that were made at once; the lab polls it until all of them are checked."""

    def __init__(self, lab: Lab, text: str, takes: Sequence[LabTake]) -> None:
        self.text = text
        self.takes = tuple(takes)
        self.order = ORDERS[0]
        self.heard: LabTake | None = None
        """The take that was heard last."""
        self._lab = lab
        self._asked: set[str] = set()
        self._checks: dict[str, tuple[Check, ...]] = {}

    @property
    def over(self) -> bool:
        """Whether all rows are made and checked."""
        return all(not take.running and take.name in self._checks for take in self.takes)

    @property
    def sorted(self) -> list[LabTake]:
        """The takes in order; while they are made that of their seeds."""
        if not self.over:
            return list(self.takes)
        return sorted(self.takes, key=self._key)

    def poll(self) -> None:
        """Have the sound of takes that are over decoded, and check them."""
        for take in self.takes:
            if take.running or take.name in self._asked:
                continue
            self._asked.add(take.name)
            self._check(take)
            worker = self._lab.worker
            if has_sound(take) and worker is not None and worker.death is None:
                with_wave(self._lab, take, partial(self._sounded, take))

    def go_to(self, take: LabTake) -> None:
        """Hear a take of the sheet."""
        self.heard = self._lab.chosen = take
        self._lab.row = None
        self._lab.mark("takes", "cursor")
        play(self._lab, take.name)

    def neighbour(self, by: int) -> LabTake | None:
        """The next take in order, or with -1 the one before, that was not dropped and has sound."""
        order = self.sorted if by > 0 else self.sorted[::-1]
        later = order[order.index(self.heard) + 1 :] if self.heard in order else order
        return next((take for take in later if not take.hidden and has_sound(take)), None)

    def view(self) -> SheetView:
        """How it stands."""
        rows = tuple(self._row(number, take) for number, take in enumerate(self.sorted, 1))
        return SheetView(self.text, self.order, rows, self.over)

    def _row(self, number: int, take: LabTake) -> SheetRow:
        request = None if take.begun is None else take.begun.request
        running = take.running and request is not None
        return SheetRow(
            number=number,
            take=take.name,
            seed=take.seed,
            doing=take.timeline.doing(request) if running and request is not None else "",
            fraction=take.timeline.fraction(request) if running and request is not None else 1.0,
            stop=take.stop,
            seconds=sum(segment.frames for segment in take.segments) / FRAME_RATE,
            checks=self._checks.get(take.name, ()),
            kept=take.kept,
            dropped=take.hidden,
            heard=take is self.heard,
        )

    def _sounded(self, take: LabTake, wave: Wave) -> None:
        self._check(take, wave)

    def _check(self, take: LabTake, wave: Wave | None = None) -> None:
        self._checks[take.name] = checks(take.take, wave) if take.begun is not None else ()
        self._lab.mark("takes")

    def _key(self, take: LabTake) -> tuple[float, ...]:
        found = self._checks[take.name]
        if self.order == "seed":
            return (float(take.seed),)
        if self.order == "failures":
            return (float(not found), *strain(found))
        return (next((check.strain for check in found if check.name == self.order), float("inf")),)


def has_sound(take: LabTake) -> bool:
    """Whether there is anything to hear of a take."""
    return take.sounds


def make(lab: Lab, count: int, seed: int | None = None) -> Sheet:
    """Speak the text so many times at once, with seeds from one on: the one named, the locked one, or any."""
    _check_count(count)
    if seed is None:
        seed = next_seed(lab)
    if not 0 <= seed <= SEED_LIMIT - count:
        raise UserError(f"The seeds of a sheet must be from 0 to 2^64 - 1, not {seed} and {count - 1} more.")
    return _begin(lab, range(seed, seed + count))


def make_of(lab: Lab, seeds: str) -> Sheet:
    """Speak the text at once with each of these seeds, such as `3 17 40-44`."""
    return _begin(lab, parse_seeds(seeds))


def parse_seeds(words: str) -> list[int]:
    """Seeds and ranges of them, separated by spaces. Raises UserError for what is none, or comes twice."""
    seeds: list[int] = []
    for word in words.replace(",", " ").split():
        match = _SEEDS.fullmatch(word)
        first, last = (int(match[1]), int(match[2] or match[1])) if match else (1, 0)
        if not first <= last < SEED_LIMIT:
            raise UserError(f"{word[:40]!r} must be a seed from 0 to 2^64 - 1, or a range like 40-44.")
        _check_count(len(seeds) + last - first + 1)
        seeds += range(first, last + 1)
    _check_count(len(seeds))
    if double := next((seed for seed in seeds if seeds.count(seed) > 1), None):
        raise UserError(f"The seed {double} is there twice, and would give the same take.")
    return seeds


def open_sheet(lab: Lab, take: str | None = None) -> Sheet:
    """Go back to the sheet that a take belongs to, by default the newest; also after a session was opened."""
    if take is None:
        found = next((item for item in reversed(lab.takes) if _batch(item)), None)
    else:
        found = named(lab, take)
    batch = () if found is None else _batch(found)
    takes = [item for name in batch if (item := lab.find(name)) is not None and _batch(item) == batch]
    if found is None or found not in takes:
        raise UserError("There is no sheet." if found is None else f"{found.name} is not of a sheet.")
    return _show(lab, Sheet(lab, found.text, takes))


def hear(lab: Lab, row: str | None = None) -> LabTake:
    """Hear a row of the sheet by its number, or once more the one that was heard last."""
    sheet = _sheet(lab)
    take = sheet.heard if row is None else _row(sheet, row)
    take = take or sheet.neighbour(1)
    if take is None or not has_sound(take):
        raise UserError("There is nothing to hear yet." if take is None else f"{take.name} has no sound yet.")
    sheet.go_to(take)
    return take


def following(lab: Lab) -> LabTake | None:
    """Hear the next row of the sheet."""
    return _move(lab, 1)


def back(lab: Lab) -> LabTake | None:
    """Hear the row of the sheet before."""
    return _move(lab, -1)


def keep(lab: Lab, row: str | None = None) -> None:
    """Keep the row of the sheet that was heard, and hear the next; or keep the one of that number."""
    _judge(lab, row, kept=True)


def drop(lab: Lab, row: str | None = None) -> None:
    """Drop the row of the sheet that was heard, and hear the next; or drop the one of that number."""
    _judge(lab, row, kept=False)


def sort(lab: Lab, order: str = ORDERS[0]) -> SheetView:
    """Sort the sheet by failures, seed, pace, silence, run or start."""
    if order not in ORDERS:
        raise UserError(f"A sheet is sorted by {', '.join(ORDERS)}, not {order[:40]!r}.")
    sheet = _sheet(lab)
    sheet.order = order
    lab.mark("takes")
    return sheet.view()


def stop(lab: Lab) -> None:
    """Break off what is still being made of the sheet; what was made of it is kept."""
    for take in _sheet(lab).takes:
        if take.speaking is not None:
            take.speaking.cancel()


def show(lab: Lab) -> SheetView:
    """Show the sheet: its rows in order, what was found of each, which are kept."""
    return _sheet(lab).view()


def _begin(lab: Lab, seeds: Sequence[int]) -> Sheet:
    if not lab.text.strip():
        raise UserError("There is no text to speak; text.set gives one.")
    return _show(lab, Sheet(lab, lab.text.strip(), begin_batch(lab, lab.text.strip(), seeds)))


def _show(lab: Lab, sheet: Sheet) -> Sheet:
    lab.sheet = sheet
    lab.works.append(sheet)
    lab.mark("takes")
    return sheet


def _check_count(count: int) -> None:
    if not 1 <= count <= MOST_ROWS:
        raise UserError(f"A sheet has 1 to {MOST_ROWS} takes, not {count}.")


def _move(lab: Lab, by: int) -> LabTake | None:
    sheet = _sheet(lab)
    take = sheet.neighbour(by)
    if take is None:
        lab.tell("That was the last row of the sheet." if by > 0 else "That was the first row of the sheet.")
    else:
        sheet.go_to(take)
    return take


def _judge(lab: Lab, row: str | None, kept: bool) -> None:
    sheet = _sheet(lab)
    take = sheet.heard if row is None else _row(sheet, row)
    if take is None:
        raise UserError("No row of the sheet was heard yet; name one.")
    if take.begun is None:
        raise UserError(f"{take.name} never began, and is not in the session.")
    lab.record.rate(take.name, KEPT, float(kept))
    if take.hidden == kept:
        lab.record.rate(take.name, HIDDEN, float(not kept))
    take.kept, take.hidden = kept, not kept
    lab.mark("takes", "session")
    if row is None:
        _move(lab, 1)


def _row(sheet: Sheet, row: str) -> LabTake:
    order = sheet.sorted
    for number, take in enumerate(order, 1):
        if row in (str(number), take.name):
            return take
    raise UserError(f"The sheet has no row {row[:40]!r}; it has 1 to {len(order)}.")


def _batch(take: LabTake) -> tuple[str, ...]:
    """The takes that a take was made with, itself among them."""
    batch = () if take.begun is None else take.begun.request.recipe.batch
    return batch if take.name in batch else ()


def _sheet(lab: Lab) -> Sheet:
    assert lab.sheet is not None
    return lab.sheet


def _none(lab: Lab) -> str | None:
    return None if lab.sheet is not None else "there is no sheet; sheet.make makes one."


COMMANDS = (
    command("sheet.make", make, unavailable=not_ready),
    command("sheet.seeds", make_of, unavailable=not_ready, rest="seeds"),
    command("sheet.open", open_sheet, unavailable=no_takes, complete={"take": take_names}),
    command("sheet.show", show, unavailable=_none),
    command("sheet.hear", hear, unavailable=_none),
    command("sheet.next", following, unavailable=_none),
    command("sheet.back", back, unavailable=_none),
    command("sheet.keep", keep, unavailable=_none),
    command("sheet.drop", drop, unavailable=_none),
    command("sheet.sort", sort, unavailable=_none, complete={"order": lambda lab: ORDERS}),
    command("sheet.stop", stop, unavailable=_none),
)
