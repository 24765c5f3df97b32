"""A bordered pane of the main screen, with its tabs in the title where it has any."""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.geometry import Region
from textual.message import Message
from textual.style import Style
from textual.widget import Widget
from textual.widgets import ContentSwitcher

from valle_lab.tui.part import Part
from valle_lab.tui.widgets.overview import Overview


class Pane(Vertical):
    """Holds one widget, or several of which one is in front."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("left_square_bracket", "turn(-1)", show=False, id="pane.before", tooltip="The tab before"),
        Binding("right_square_bracket", "turn(1)", "Tab", id="pane.next", tooltip="The next tab"),
        Binding("y", "copy", show=False, id="pane.copy", tooltip="Copy what is shown, over SSH too (OSC 52)"),
    ]

    class CopyWanted(Message):
        """A text is to go to the clipboard."""

        def __init__(self, text: str) -> None:
            super().__init__()
            self.text = text

    def __init__(self, name: str, key: str, parts: dict[str, Widget], *, id: str) -> None:
        """`key` is the function key that goes here, for the title; `parts` are the tabs by their names."""
        super().__init__(id=id, classes="pane")
        self._title = name
        self._key = key
        self._parts = parts
        self._front = next(iter(parts))
        self._words = ""

    def compose(self) -> ComposeResult:
        """The tab in front; what else there is would only hold up the first frame."""
        for name, part in self._parts.items():
            part.id = part.id or f"part-{name}"
        front = self._parts[self._front]
        if len(self._parts) == 1:
            yield front
            return
        with ContentSwitcher(initial=front.id):
            yield front

    async def complete(self) -> None:
        """Add the tabs behind."""
        for part in self._parts.values():
            if not part.is_attached:
                await self.query_one(ContentSwitcher).add_content(part)

    def on_mount(self) -> None:
        self._entitle()

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Tabs are turned where there are several."""
        return action != "turn" or len(self._parts) > 1

    @property
    def tabs(self) -> Iterable[str]:
        """Names of the tabs."""
        return tuple(self._parts)

    def show_tab(self, name: str, *, focus: bool = False) -> None:
        """Bring a tab to the front, once it is there."""
        part = self._parts[name]
        if not part.is_attached:
            return
        self._front = name
        if len(self._parts) > 1:
            self.query_one(ContentSwitcher).current = part.id
        self._entitle()
        if focus:
            self.enter()

    def action_turn(self, by: int) -> None:
        """The next tab, or the one before."""
        names = list(self._parts)
        if len(names) > 1:
            self.show_tab(names[(names.index(self._front) + by) % len(names)], focus=True)

    def action_tab(self, name: str) -> None:
        """A tab was clicked in the title."""
        self.show_tab(name, focus=True)

    def action_copy(self) -> None:
        """Copy what the tab in front has to give."""
        part = self._parts[self._front]
        self.post_message(self.CopyWanted(part.clip() if isinstance(part, Part | Overview) else ""))

    def caption(self, words: str) -> None:
        """Say something in the lower border; assigned as usual it would have all of the pane painted."""
        if words != self._words:
            self._words, self._border_subtitle = words, Content(words)
            width, height = self.content_size
            self.refresh(Region(0, height, width, 1))

    def enter(self) -> None:
        """Put the focus on what is in front; now, or the next of two keys pressed at once goes astray."""
        self.screen.set_focus(first_focusable(self._parts[self._front]))

    def _entitle(self) -> None:
        title = Content.assemble((f"{self._key} " if self._key else "", "dim"), self._title)
        if len(self._parts) > 1:
            names = [
                Content.styled(name, "bold reverse" if name == self._front else "").stylize(
                    Style.from_meta({"@click": f"app.pane_tab('{self.id}', '{name}')"})
                )
                for name in self._parts
            ]
            title = Content.assemble(title, ": ", Content(" ").join(names))
        self.border_title = title


def first_focusable(widget: Widget) -> Widget:
    """The widget itself, or the first below it that can have the focus; its `ENTRY` before others."""
    if selector := getattr(widget, "ENTRY", ""):
        return widget.query_one(selector)
    return next((node for node in widget.walk_children(Widget, with_self=True) if node.focusable), widget)
