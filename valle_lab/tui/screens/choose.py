"""A list to choose from by typing a part of a name or of what is said about it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import Input, OptionList, Static
from textual.widgets.option_list import Option

NAME_CELLS = 24


@dataclass(frozen=True, slots=True)
class Item:
    """Something that can be chosen."""

    name: str
    about: str = ""
    """One line, beside the name."""
    more: str = ""
    """What is said of it when it is under the cursor."""


class ChooseScreen(ModalScreen[str | None]):
    """Gives the chosen name, or None."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "dismiss(None)", "Close", id="choose.close", tooltip="Choose nothing"),
        Binding("down", "move(1)", show=False, id="choose.down", priority=True, tooltip="The next one"),
        Binding("up", "move(-1)", show=False, id="choose.up", priority=True, tooltip="The one before"),
        Binding("pagedown", "move(10)", show=False, id="choose.page_down", priority=True, tooltip="Ten on"),
        Binding("pageup", "move(-10)", show=False, id="choose.page_up", priority=True, tooltip="Ten back"),
    ]

    def __init__(self, title: str, items: Sequence[Item], start: str = "", *, free: bool = False) -> None:
        """`free`: what was typed is taken where nothing in the list is called so, such as a path."""
        super().__init__()
        self._free = free
        self._title = title
        self._items = items
        self._start = start
        self._found: list[Item] = []

    def compose(self) -> ComposeResult:
        with Vertical(id="choosing"):
            yield Input(placeholder="type to search", id="searched", compact=True)
            yield OptionList(id="found", markup=False, compact=True)
            yield Static("", id="about", markup=False)

    def on_mount(self) -> None:
        self.query_one("#choosing").border_title = Content(self._title)
        self.query_one("#choosing").border_subtitle = "enter chooses, escape closes"
        self._search("")
        names = [item.name for item in self._items]
        if self._start in names:
            self.query_one(OptionList).highlighted = names.index(self._start)

    @on(Input.Changed, "#searched")
    def _typed(self, event: Input.Changed) -> None:
        self._search(event.value)

    @on(Input.Submitted, "#searched")
    @on(OptionList.OptionSelected)
    def _done(self) -> None:
        highlighted = self.query_one(OptionList).highlighted
        typed = self.query_one("#searched", Input).value.strip()
        if highlighted is not None and self._found:
            self.dismiss(self._found[highlighted].name)
        elif self._free and typed:
            self.dismiss(typed)

    @on(OptionList.OptionHighlighted)
    def _tell(self) -> None:
        # What is under the cursor now: since the message was sent, more may have been typed.
        highlighted = self.query_one(OptionList).highlighted
        if highlighted is not None:
            item = self._found[highlighted]
            self.query_one("#about", Static).update(Content(item.more or item.about))

    def action_move(self, by: int) -> None:
        listed = self.query_one(OptionList)
        if self._found:
            listed.highlighted = min(max((listed.highlighted or 0) + by, 0), len(self._found) - 1)

    def _search(self, text: str) -> None:
        self._found = matching(self._items, text)
        listed = self.query_one(OptionList)
        listed.clear_options()
        listed.add_options(
            Option(Content.assemble((f"{item.name:<{NAME_CELLS}} ", "bold"), (item.about, "dim")))
            for item in self._found
        )
        listed.highlighted = 0 if self._found else None
        if not self._found:
            self.query_one("#about", Static).update(Content("nothing is called so"))


def matching(items: Sequence[Item], text: str) -> list[Item]:
    """Those that have all the words: names that begin so, names with them in, then what is said of them."""
    phrase = " ".join(_plain(text).split())

    def place(item: Item) -> int:
        name = _plain(item.name)
        told = _plain(f"{name} {item.about} {item.more}")
        ranks = (name.startswith(phrase), phrase in name, _has(name, phrase), _has(told, phrase))
        return ranks.index(True) if any(ranks) else len(ranks)

    return sorted((item for item in items if place(item) < 4), key=place)


def _plain(text: str) -> str:
    return text.casefold().replace("_", " ")


def _has(where: str, words: str) -> bool:
    return all(word in where for word in words.split())
