"""The list of takes."""

from __future__ import annotations

from typing import ClassVar

from textual import on
from textual.binding import Binding, BindingType

from valle.request import FRAME_RATE
from valle_lab.lab.about import said_again
from valle_lab.lab.state import LabTake
from valle_lab.lab.takes import shown_takes
from valle_lab.lab.tree import Twig, tree
from valle_lab.tui.messages import CommandWanted, TextWanted
from valle_lab.tui.tables import Cell, Table, number
from valle_lab.tui.view import View
from valle_lab.tui.widgets.sound import TRANSPORT

MOST_SHOWN = 200
COLUMNS = ("take", "stop", "sec", "seed", "voice", "★", "text")
MOST_STARS = 5


class TakeList(Table):
    """Every take of the session; the one under the cursor is shown, played and saved."""

    ABOUT = frozenset({"takes"})
    SLOWLY = frozenset({"steps"})
    HELP = (
        "## Takes\n\nThe takes of this session. Up and down (`k` and `j`) choose the one that is shown, "
        "played and saved. Space plays and pauses, `b` changes between two takes at the same place, 1 to 5 "
        "rate, `0` takes the rating back, `i` writes a note, `y` copies the command that speaks it again. "
        "Enter shows all about it, its text in full; `r` takes its text, voice, seed and stack for the next "
        "one, `d` takes it off the list.\n\n"
        "A take of another task than speech has its answer after `→`: phonemes, words or a length; `t` has "
        "the model hear the chosen take, `w` tells the words of phonemes, and `y` copies the answer.\n\n"
        "A take that goes on from another one, from the step where it was forked, stands below it as a "
        "branch: `<` goes to that one, `>` to its first branch, `.` to the next branch beside it. `S` makes "
        "a sheet of seeds."
    )
    BINDINGS: ClassVar[list[BindingType]] = [
        *TRANSPORT,
        *(
            Binding(
                str(n), f"rate({n})", show=False, id=f"takes.rate{n}", tooltip=f"Rate it {n} of {MOST_STARS}"
            )
            for n in range(MOST_STARS + 1)
        ),
        Binding("enter", "choose", "About", id="takes.about", tooltip="All about it, its text in full"),
        Binding(
            "r",
            "app.command('take.recall')",
            "Recall",
            id="takes.recall",
            tooltip="Text, voice, seed and stack of it for the next one",
        ),
        Binding(
            "d,delete",
            "app.command('take.hide')",
            show=False,
            id="takes.hide",
            tooltip="Off the list; it stays in the session",
        ),
        Binding("i", "note", "Note", id="takes.note", tooltip="Write a note to the take"),
        Binding("less_than_sign", "app.command('fork.parent')", show=False, id="takes.parent", tooltip="Up"),
        Binding(
            "greater_than_sign", "app.command('fork.child')", show=False, id="takes.child", tooltip="Down"
        ),
        Binding("full_stop", "app.command('fork.sibling')", show=False, id="takes.sibling", tooltip="Beside"),
        Binding(
            "t",
            "app.command('take.transcribe')",
            show=False,
            id="takes.transcribe",
            tooltip="The phonemes that the model hears in it",
        ),
        Binding("w", "app.tell('take.words')", show=False, id="takes.words", tooltip="Words of phonemes"),
        Binding("S", "sheet", "Sheet", id="takes.sheet", tooltip="Many seeds of this text at once"),
    ]

    def __init__(self, view: View, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self.view = view
        self._order: list[LabTake] = []
        """The takes as they are shown: each before those that go on from it."""

    @property
    def hint(self) -> str:
        return f"No takes yet: write a text; {self.view.lab.key_of('take.speak')} speaks it."

    def paint(self) -> None:
        shown, chosen = {take.name: take for take in shown_takes(self.view.lab)}, self.view.lab.chosen
        twigs = tree(tuple(shown.values()))
        self._order = [shown[twig.take] for twig in twigs]
        row = self._order.index(chosen) if chosen is not None and chosen in self._order else None
        self.fill(COLUMNS, [_cells(take, twig) for take, twig in zip(self._order, twigs, strict=True)], row)
        self.say(_noted(chosen))

    def action_choose(self) -> None:
        if self._order:
            self.call_later(self.run_action, "app.tell('take.about')")

    def action_seek(self, by: float) -> None:
        self.post_message(CommandWanted("take.skip", by))

    def action_rate(self, stars: int) -> None:
        self.post_message(CommandWanted("take.rate", stars))

    def action_sheet(self) -> None:
        self.post_message(TextWanted("sheet.make", "how many takes", "8", "Seeds from the locked one on."))

    def action_note(self) -> None:
        take = self.view.take
        if take is not None:
            self.post_message(TextWanted("take.note", f"note on {take.name}"))

    def clip(self) -> str:
        take = self.view.take
        if take is None or not take.speaks:
            return "" if take is None else take.answer
        usual = self.view.lab.description
        return said_again(take, usual.default_stack if usual is not None else None)

    @on(Table.Moved)
    def _choose(self, event: Table.Moved) -> None:
        event.stop()
        if event.row < len(self._order):
            self.post_message(CommandWanted("take.choose", self._order[event.row].name))


def _cells(take: LabTake, twig: Twig) -> list[Cell]:
    forked = f"{twig.place} {twig.how}" if twig.place is not None else ""
    return [
        Cell(f"{twig.branch}{take.name}"),
        Cell(take.stop or "…"),
        number(f"{take.timeline.frames / FRAME_RATE:.2f}" if take.speaks else ""),
        number(str(take.seed)),
        Cell(take.voice or "none"),
        number("" if take.rating is None else f"{take.rating:g}"),
        Cell(forked or said(take)[:MOST_SHOWN], style="muted" if forked else "text"),
    ]


def said(take: LabTake) -> str:
    """What a take says, or what it came to where it gives no speech."""
    return " · ".join(words for words in (f"→ {take.answer}" if take.answer else "", take.text) if words)


def _noted(take: LabTake | None) -> str:
    return "" if take is None else " · ".join(take.notes)
