"""The stack pane: every stage of every phase in order, with its values, and the hands on them."""

from __future__ import annotations

import json
from typing import Any, ClassVar

from textual import on
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.content import Content
from textual.message import Message
from textual.widgets import Static

from valle_lab.lab.modes import used
from valle_lab.tui.messages import CommandWanted
from valle_lab.tui.part import Part
from valle_lab.tui.rows import Row, StageState, moved_row, next_row, rows, states
from valle_lab.tui.view import View
from valle_lab.tui.widgets.stage_row import StageRow


class StackList(VerticalScroll, Part, can_focus=True):
    """A row a parameter; the keys below act on the row that has the focus.

    It has the focus itself where there are no rows yet, and gives it to the first that comes.
    """

    ABOUT = frozenset({"stack", "model", "text"})
    HELP = (
        "## Stack\n\nThe samplers of each phase, in the order in which they act; the last one decides. "
        "`●` is on, `○` off, `◆` decides; what is dimmed changes nothing as it is set. `▲` is a remark, "
        "`◇` a condition. What the task and the mode have no use for comes last.\n\nLeft and right change a "
        "value, shift for fine steps, page up and down for ten; type a number; backspace goes back to the "
        "default. A change takes effect at the next step of a running take."
    )
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("down,j", "go(1)", show=False, id="stack.down", tooltip="The next row"),
        Binding("up,k", "go(-1)", show=False, id="stack.up", tooltip="The row before"),
        Binding("space", "edit('switch')", "On/off", id="stack.toggle", tooltip="Switch the stage on or off"),
        Binding("a", "edit('add')", "Add", id="stack.add_stage", tooltip="Add a stage from the list"),
        Binding("d", "edit('remove')", "Remove", id="stack.drop", tooltip="Take the stage out"),
        Binding("c", "edit('duplicate')", show=False, id="stack.copy", tooltip="A second stage of its kind"),
        Binding("J,shift+down", "shift(1)", show=False, id="stack.later", tooltip="Move the stage down"),
        Binding("K,shift+up", "shift(-1)", show=False, id="stack.earlier", tooltip="Move the stage up"),
        Binding("v", "edit('curve')", show=False, id="stack.curve", tooltip="Let the value follow a curve"),
        Binding("w", "edit('condition')", show=False, id="stack.when", tooltip="Act under a condition only"),
        Binding("p", "edit('preset')", "Preset", id="stack.presets", tooltip="Take a preset"),
        Binding("W", "edit('save')", show=False, id="stack.keep", tooltip="Keep as a preset or the default"),
        Binding("u", "app.command('stack.undo')", show=False, id="stack.back", tooltip="Undo"),
        Binding("ctrl+r", "app.command('stack.redo')", show=False, id="stack.forth", tooltip="Redo"),
    ]

    class Wanted(Message):
        """The stack is to be edited in a way that asks for more."""

        def __init__(self, what: str, row: Row | None, state: StageState | None) -> None:
            super().__init__()
            self.what, self.row, self.state = what, row, state

    def __init__(self, view: View, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self.view = view
        self._rows: list[Row] = []
        self._shown: list[StageRow] = []
        """The widgets of the rows; those of the rows before may still be on their way out."""
        self._goes_to: Row | None = None
        """Where a stage that is on its way to another place will be."""

    def paint(self) -> None:
        stack = self.view.lab.stack
        known = states(stack) if stack else {}
        wanted = list(rows(stack, used(self.view.lab))) if stack else []
        goes_to, self._goes_to = self._goes_to, None
        if wanted != self._rows:
            self._rebuild(wanted, known, goes_to)
        else:
            for row in self._shown:
                row.show(known[row.row.list, row.row.key])
            if goes_to is not None:
                self._enter_row(goes_to)
        self._tell()

    def on_descendant_focus(self) -> None:
        self._tell()

    def clip(self) -> str:
        stack = self.view.lab.stack
        return json.dumps(stack.to_dict(), indent=1) if stack else ""

    @property
    def row(self) -> StageRow | None:
        """The row that has the focus."""
        focused = self.screen.focused
        for node in focused.ancestors_with_self if focused else ():
            if isinstance(node, StageRow):
                return node
        return None

    def enter(self) -> None:
        """Put the focus on the first row."""
        for row in self._shown[:1]:
            row.enter()

    def action_go(self, by: int) -> None:
        """Up and down."""
        row, listed = self.row, self._shown
        if row in listed:
            listed[(listed.index(row) + by) % len(listed)].enter()

    def action_edit(self, what: str) -> None:
        """Something that the screen asks more about, or does."""
        row = self.row
        self._ask(what, row)

    def action_shift(self, by: int) -> None:
        """Move the stage."""
        row, stack = self.row, self.view.lab.stack
        if row is None or stack is None:
            return
        keys = [item.key for item in self._rows if item.list == row.row.list and item.first]
        place = keys.index(row.row.key) + by
        if 0 <= place < len(keys):
            self._goes_to = moved_row(row.row, stack, place)
        self._do("stack.move", row.row.stage, place)

    @on(StageRow.Changed)
    def _changed(self, event: StageRow.Changed) -> None:
        event.stop()
        self.post_message(CommandWanted("stack.set", event.row.target, event.value, held=event.held))
        # A value that was refused goes back to what the stack has.
        self.call_later(self.repaint)

    @on(StageRow.EditWanted)
    def _edit(self, event: StageRow.EditWanted) -> None:
        event.stop()
        self._ask("switch" if isinstance(event, StageRow.SwitchWanted) else "value", event.row)

    def _ask(self, what: str, row: StageRow | None) -> None:
        if what == "switch" and row is not None:
            self._do("stack.switch", row.row.stage, not row.state.effective.stage.on)
        elif what == "remove" and row is not None:
            self._do("stack.remove", row.row.stage)
        else:
            self.post_message(self.Wanted(what, row.row if row else None, row.state if row else None))

    def _do(self, command: str, *arguments: Any) -> None:
        self.post_message(CommandWanted(command, *arguments))

    def _rebuild(
        self, wanted: list[Row], known: dict[tuple[str, str], StageState], goes_to: Row | None
    ) -> None:
        """Other stages than before: all rows are made anew, and the focus stays, or goes to the new stage."""
        held = goes_to or (next_row(self.row.row, self._rows, wanted) if self.row else None)
        if self.has_focus and wanted:
            held = wanted[0]
        self._rows = wanted
        made: list[Static | StageRow] = []
        for row in wanted:
            if not made or not isinstance(made[-1], StageRow) or made[-1].row.list != row.list:
                made.append(self._title(row.list))
            made.append(StageRow(row, known[row.list, row.key]))
        self._shown = [row for row in made if isinstance(row, StageRow)]
        if held is not None:
            # Else Textual gives it to another pane, which gets the keys until the rows are there.
            self.screen.set_focus(None)
        self.can_focus = not wanted
        with self.app.batch_update():
            self.remove_children()
            self.mount_all(made)
        if held is not None:
            self.call_after_refresh(self._enter_row, held)

    def _title(self, name: str) -> Static:
        """A list's name; what the task and the mode of the next take have no use for says so."""
        if name.partition(".")[0] in used(self.view.lab):
            return Static(Content(name), classes="phase")
        return Static(Content(f"{name} · not in this mode"), classes="phase -unused")

    def _enter_row(self, wanted: Row) -> None:
        for row in [row for row in self._shown if row.row == wanted][:1]:
            row.enter()

    def _tell(self) -> None:
        """Below: how many remarks there are, and what the row under the cursor is."""
        remarks = sum(len(row.state.remarks) for row in self._shown if row.row.first)
        words = [f"▲ {remarks}"] if remarks else []
        if self.view.lab.stack is None:
            words.append("it comes with the model")
        if (row := self.row) is not None:
            words.append(row.hint)
        self.say(" · ".join(words))
