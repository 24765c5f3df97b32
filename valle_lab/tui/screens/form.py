"""A few fields in a box, checked while they are filled in: curves and conditions of a stage."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import Input, Label, Static

from valle_lab.tui.widgets.picker import Picker

Filled = Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of a form."""

    name: str
    value: str
    choices: Sequence[str] = ()
    """Where there are any, one of them is picked; else the value is typed."""
    wanted: Callable[[Filled], bool] = lambda filled: True
    """Whether the line means something beside what the others say."""


class FormScreen(ModalScreen[dict[str, str] | None]):
    """Gives the values of all lines, or None.

    `check` makes the lines of the preview from what is filled in, or raises UserError, which is shown and
    keeps the form open.
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "dismiss(None)", "Close", id="form.close", tooltip="Change nothing"),
        Binding("ctrl+s", "take", "Take it", id="form.take", tooltip="Take what is filled in"),
        Binding("down", "app.focus_next", show=False, id="form.down", tooltip="The next line"),
        Binding("up", "app.focus_previous", show=False, id="form.up", tooltip="The line before"),
    ]

    def __init__(self, title: str, entries: Sequence[Entry], check: Callable[[Filled], str]) -> None:
        super().__init__()
        self._title, self._entries, self._check = title, entries, check

    def compose(self) -> ComposeResult:
        with Vertical(id="form"):
            for entry in self._entries:
                with Horizontal(id=f"entry-{entry.name}", classes="entry"):
                    yield Label(entry.name, markup=False)
                    if entry.choices:
                        yield Picker(entry.choices, entry.value, id=f"value-{entry.name}")
                    else:
                        yield Input(entry.value, compact=True, id=f"value-{entry.name}")
            yield Static("", id="preview", markup=False)

    def on_mount(self) -> None:
        self.query_one("#form").border_title = Content(self._title)
        self.query_one("#form").border_subtitle = "enter takes it, escape does not"
        self._show()

    @property
    def filled(self) -> dict[str, str]:
        """What is filled in now."""
        return {entry.name: self._value(entry) for entry in self._entries}

    @on(Input.Changed)
    @on(Picker.Changed)
    def _show(self) -> None:
        filled = self.filled
        for entry in self._entries:
            self.query_one(f"#entry-{entry.name}").display = entry.wanted(filled)
        self.query_one("#preview", Static).update(Content(self._preview()[0]))

    @on(Input.Submitted)
    def action_take(self) -> None:
        if self._preview()[1]:
            self.dismiss(self.filled)

    def _preview(self) -> tuple[str, bool]:
        """What is shown below, and whether what is filled in can be used."""
        try:
            return self._check(self.filled), True
        except ValueError as error:
            return f"✗ {error}", False

    def _value(self, entry: Entry) -> str:
        if entry.choices:
            return self.query_one(f"#value-{entry.name}", Picker).value
        return self.query_one(f"#value-{entry.name}", Input).value.strip()
