"""Edits of the stack that ask for something first: a stage, a curve, a condition, a preset, a name."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

from valle.errors import UserError
from valle.samplers.declaration import StageDeclaration
from valle.samplers.stages import STAGES
from valle_lab.lab.modes import deciding
from valle_lab.presets import presets
from valle_lab.tui.forms import (
    condition_entries,
    condition_from,
    condition_preview,
    curve_entries,
    curve_from,
    curve_preview,
)
from valle_lab.tui.rows import Row, StageState, in_words
from valle_lab.tui.screens.ask_text import AskTextScreen
from valle_lab.tui.screens.choose import ChooseScreen, Item
from valle_lab.tui.screens.form import FormScreen

if TYPE_CHECKING:
    from valle_lab.tui.app import LabApp

AS_DEFAULT = "the default"
RESET = "the model's own"


class StackEdits:
    """Opens what asks, and does the command of the answer."""

    def __init__(self, app: LabApp) -> None:
        self._app = app

    def begin(self, what: str, row: Row | None, state: StageState | None) -> None:
        """Begin an edit; `row` is the one that has the focus."""
        edits: dict[str, Callable[[], None]] = {
            "add": partial(self._add, row.list if row else deciding(self._app.lab)),
            "preset": self._preset,
            "save": self._save,
        }
        if row is not None and state is not None:
            edits |= {
                "duplicate": partial(self._do, "stack.duplicate", row.stage),
                "curve": partial(self._curve, row, state),
                "condition": partial(self._condition, row, state),
                "value": partial(self._value, row, state),
            }
        if (edit := edits.get(what)) is not None:
            edit()

    def _add(self, list_name: str) -> None:
        phase = list_name.partition(".")[0]
        items = [_stage_item(stage) for stage in STAGES.values() if phase not in stage.refused]

        def chosen(name: str | None) -> None:
            if name is not None:
                self._do("stack.add", f"{list_name}:{name}")

        self._app.push_screen(ChooseScreen(f"add a stage to {list_name}", items), chosen)

    def _preset(self) -> None:
        try:
            known = presets(self._app.lab.settings.paths.presets)
        except UserError as error:
            self._app.lab.tell(str(error), error=True)
            self._app.poll()
            return
        items = [
            Item(preset.name, f"{preset.title} · {preset.mode}", "\n".join((preset.source, *preset.notes)))
            for preset in known
        ]
        first = Item(RESET, "the stack that the loaded model names")
        self._app.push_screen(ChooseScreen("presets", [first, *items]), self._take_preset)

    def _take_preset(self, name: str | None) -> None:
        if name == RESET:
            self._do("stack.reset")
        elif name is not None:
            self._do("stack.preset", name)

    def _save(self) -> None:
        def named(name: str | None) -> None:
            if name and name.strip() == AS_DEFAULT:
                self._do("stack.save_default")
            elif name and name.strip():
                self._do("stack.save_preset", name.strip())

        help = f"A name for a preset of your own, or “{AS_DEFAULT}” for what every session begins with."
        self._app.push_screen(AskTextScreen("keep this stack as", "", help), named)

    def _curve(self, row: Row, state: StageState) -> None:
        parameter = state.effective.declaration.parameter(row.parameter) if row.parameter else None
        if row.parameter is None or parameter is None or not parameter.curved:
            self._app.lab.tell(f"{row.target if row.parameter else row.stage} takes no curve.", error=True)
            self._app.poll()
            return
        value = state.effective.parameters[row.parameter]

        def done(filled: dict[str, str] | None) -> None:
            if filled is not None:
                self._do("stack.set", row.target, curve_from(filled, row.target, parameter))

        self._app.push_screen(
            FormScreen(
                f"{row.target} as a curve",
                curve_entries(value),
                lambda filled: curve_preview(filled, row.target, parameter),
            ),
            done,
        )

    def _condition(self, row: Row, state: StageState) -> None:
        if state.decides:
            self._app.lab.tell(f"{row.stage} decides the token and takes no condition.", error=True)
            self._app.poll()
            return

        def done(filled: dict[str, str] | None) -> None:
            if filled is not None:
                self._do("stack.set", f"{row.stage}.when", condition_from(filled, row.stage))

        self._app.push_screen(
            FormScreen(
                f"{row.stage} acts only when",
                condition_entries(state.effective.stage.when),
                lambda filled: condition_preview(filled, row.stage),
            ),
            done,
        )

    def _value(self, row: Row, state: StageState) -> None:
        if row.field == "words" and row.parameter is not None:
            parameter = state.effective.declaration.parameter(row.parameter)
            if parameter is not None and parameter.curved:
                self._curve(row, state)
                return
            value = in_words(state.effective.parameters[row.parameter])
            help = parameter.help if parameter else ""

            def typed(text: str | None) -> None:
                if text is not None:
                    self._do("stack.set", row.target, text or "[]")

            self._app.push_screen(AskTextScreen(row.target, value, help), typed)

    def _do(self, command: str, *arguments: Any) -> None:
        self._app.do(command, *arguments)


def _stage_item(stage: StageDeclaration) -> Item:
    parameters = ", ".join(parameter.name for parameter in stage.parameters) or "none"
    also = f" Elsewhere called {', '.join(stage.also)}." if stage.also else ""
    return Item(
        stage.name,
        stage.help,
        f"{stage.help}{also}\n{stage.family}; parameters: {parameters}\nSource: {stage.source}",
    )
