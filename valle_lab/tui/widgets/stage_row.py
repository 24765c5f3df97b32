"""A row of the stack pane: a stage or a parameter by name, and beside it what changes the value."""

from __future__ import annotations

from typing import Any

from textual import on
from textual.app import ComposeResult
from textual.containers import Horizontal, Vertical
from textual.content import Content
from textual.events import Click
from textual.message import Message
from textual.widget import Widget
from textual.widgets import Static

from valle.samplers.declaration import Parameter, plain
from valle.samplers.values import Curve
from valle_lab.tui.rows import SWITCHES, Row, StageState, in_words
from valle_lab.tui.scale import Scale
from valle_lab.tui.widgets.picker import Picker
from valle_lab.tui.widgets.slider import Slider
from valle_lab.tui.widgets.words import Words

ON, OFF, CHOOSER = "●", "○", "◆"


class StageRow(Vertical):
    """Knows its row and its stage's state; the pane does the commands."""

    class Changed(Message):
        """A parameter is to have another value."""

        def __init__(self, row: Row, value: Any, held: bool = False) -> None:
            """`held`: it goes on with the change before."""
            super().__init__()
            self.row, self.value, self.held = row, value, held

    class EditWanted(Message):
        """A value is to be edited in words."""

        def __init__(self, row: StageRow) -> None:
            super().__init__()
            self.row = row

    class SwitchWanted(EditWanted):
        """The stage is to be switched on or off."""

    def __init__(self, row: Row, state: StageState) -> None:
        super().__init__()
        self.row = row
        self.state = state
        self._label = StageLabel()
        self._field = self._made_field()
        self._remark = Static("", classes="remark", markup=False)
        self._remark.display = False
        self._told: list[str] = []

    @property
    def parameter(self) -> Parameter | None:
        """The row's parameter, as it is declared."""
        name = self.row.parameter
        return self.state.effective.declaration.parameter(name) if name else None

    @property
    def value(self) -> Any:
        """The row's value, as it runs."""
        return self.state.effective.parameters[self.row.parameter] if self.row.parameter else None

    @property
    def help_now(self) -> str:
        """Of the stage and the parameter, from their declaration."""
        return help_of(self.state, self.parameter)

    @property
    def hint(self) -> str:
        """The same in one line."""
        return self._help if self.parameter is None else f"{self.parameter.help} {limits_of(self.parameter)}."

    def compose(self) -> ComposeResult:
        with Horizontal(classes="row"):
            yield self._label
            yield self._field
        if self.row.first:
            yield self._remark

    def on_mount(self) -> None:
        self._field.tooltip = Content(self.parameter.help if self.parameter else self._help)
        self.show(self.state)

    def show(self, state: StageState) -> None:
        """Bring value, switch and remarks up to date."""
        self.state = state
        self.set_class(state.idle, "-idle")
        self._label.show(self._labelled())
        match self._field:
            case Slider() | Picker() if isinstance(self.value, bool):
                self._field.show(SWITCHES[not self.value])  # type: ignore[arg-type]
            case Slider() | Picker():
                self._field.show(self.value)
            case Words():
                self._field.show(in_words(self.value) if self.row.parameter else self._help)
        lines = [f"▲ {text}" for text in state.remarks]
        if state.effective.stage.when is not None:
            lines.insert(0, f"◇ {in_words(state.effective.stage.when)}")
        if lines != self._told:
            self._told = lines
            self._remark.update(Content("\n".join(lines)))
            self._remark.display = bool(lines)

    def enter(self) -> None:
        """Put the focus on what changes the value."""
        self._field.focus()

    @on(Slider.Changed)
    @on(Picker.Changed)
    def _changed(self, event: Slider.Changed | Picker.Changed) -> None:
        event.stop()
        value: Any = event.value
        if value is None:
            value = self._usual
        elif self.parameter is not None and self.parameter.type == "boolean":
            value = value == SWITCHES[0]
        held = isinstance(event, Slider.Changed) and event.held
        self.post_message(self.Changed(self.row, value, held))

    @on(Words.EditWanted)
    def _edit(self, event: Words.EditWanted) -> None:
        event.stop()
        if self.parameter is None:
            return
        if isinstance(event, Words.ResetWanted):
            self.post_message(self.Changed(self.row, self._usual))
        else:
            self.post_message(self.EditWanted(self))

    def on_click(self, event: Click) -> None:
        """A click on the mark before the name switches the stage."""
        if event.widget is self._label and event.x <= 1 and self.row.first:
            self.post_message(self.SwitchWanted(self))

    @property
    def _usual(self) -> Any:
        """The default, in the types of JSON."""
        return plain(self.parameter.default) if self.parameter else None

    @property
    def _help(self) -> str:
        return self.state.effective.declaration.help

    def _labelled(self) -> Content:
        if not self.row.first:
            return Content.styled(f"    {self.row.parameter}", "dim")
        mark = CHOOSER if self.state.decides else ON if self.state.effective.stage.on else OFF
        name = Content.styled(self.row.key, "bold" if not self.state.idle else "")
        tail = f".{self.row.parameter}" if self.row.parameter else ""
        return Content.assemble(Content.styled(f"{mark} ", "$text-accent"), name, (tail, "dim"))

    def _made_field(self) -> Widget:
        parameter, value = self.parameter, self.value
        if parameter is None or self.row.field == "help":
            return Words(self._help, muted=True)
        if self.row.field == "slider":
            return Slider(Scale.of(parameter), value, parameter.default)
        if self.row.field == "picker":
            return Picker(parameter.choices or SWITCHES, in_words(value))
        return Words(in_words(value))


class StageLabel(Static):
    """The name at the left of a row."""

    def __init__(self) -> None:
        super().__init__("", markup=False, classes="stage")
        self._shown = Content("")

    def show(self, name: Content) -> None:
        """Show a name, and do nothing if that is what is shown."""
        if not name.is_same(self._shown):
            self._shown = name
            self.update(name, layout=False)


def help_of(state: StageState, parameter: Parameter | None) -> str:
    """Help in Markdown, made from the declaration."""
    declared = state.effective.declaration
    text = f"## {declared.name}\n\n{declared.help}\n\nSource: {declared.source}\n\n"
    if parameter is not None:
        text += f"### {parameter.name}\n\n{parameter.help} {limits_of(parameter)}.\n\n"
    if isinstance(curve := (state.effective.parameters.get(parameter.name) if parameter else None), Curve):
        text += f"Now a curve: {in_words(curve)}.\n\n"
    return text


def limits_of(parameter: Parameter) -> str:
    """From where to where a parameter goes, and what it is by default."""
    usual = f"default {in_words(parameter.default) or 'empty'}"
    if parameter.minimum is None or parameter.maximum is None:
        return usual.capitalize()
    return f"{parameter.minimum:g} to {parameter.maximum:g} {parameter.unit}".rstrip() + f", {usual}"
