"""The keys that can be pressed now, in one line: a widget each would be a layout whenever the focus moves."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import accumulate
from typing import Any, ClassVar

from rich.cells import cell_len
from textual.content import Content
from textual.events import Click, MouseMove
from textual.screen import Screen
from textual.widget import Widget

KEY_STYLE, WORD_STYLE, LACKING_STYLE = "bold $footer-key-foreground", "$footer-foreground", "dim"
GAP = 2


@dataclass(frozen=True, slots=True)
class Entry:
    """One key."""

    key: str
    shown: str
    words: str
    tooltip: str
    enabled: bool

    @property
    def cells(self) -> int:
        """How wide it is, the gap behind it included."""
        return cell_len(self.shown) + 1 + cell_len(self.words) + GAP


class KeyLine(Widget):
    """Follows the focus; a click on a key is the key."""

    ALLOW_SELECT: ClassVar[bool] = False

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._entries: tuple[Entry, ...] = ()
        self._palette: Entry | None = None

    def on_mount(self) -> None:
        self.screen.bindings_updated_signal.subscribe(self, self._changed)

    def render(self) -> Content:
        shown, palette = self._shown, self._shown_palette
        left = [_drawn(entry) for entry in shown]
        if palette is None:
            return Content.assemble(*left)
        room = self.size.width - sum(entry.cells for entry in shown) - palette.cells
        return Content.assemble(*left, " " * room, _drawn(palette))

    def on_click(self, event: Click) -> None:
        entry = self._at(event.x)
        if entry is not None and entry.enabled:
            self.app.simulate_key(entry.key)

    def on_mouse_move(self, event: MouseMove) -> None:
        entry = self._at(event.x)
        self.tooltip = Content(entry.tooltip) if entry is not None and entry.tooltip else None

    def _changed(self, screen: Screen[Any]) -> None:
        if not self.app.app_focus or screen is not self.screen:
            return
        found: dict[str, Entry] = {}
        for _, binding, enabled, tooltip in screen.active_bindings.values():
            entry = Entry(
                binding.key,
                self.app.get_key_display(binding),
                binding.description,
                tooltip or binding.tooltip,
                enabled,
            )
            if binding.show:
                found.setdefault(binding.action, entry)
            elif binding.key == self.app.COMMAND_PALETTE_BINDING:
                self._palette = entry
        entries = tuple(found.values())
        if entries != self._entries:
            self._entries = entries
            self.refresh()

    def _at(self, x: int) -> Entry | None:
        """The key in this column."""
        begin = 0
        for entry in self._shown:
            if begin <= x < begin + entry.cells - GAP:
                return entry
            begin += entry.cells
        palette = self._shown_palette
        return palette if palette is not None and x >= self.size.width - palette.cells else None

    @property
    def _shown(self) -> list[Entry]:
        """The keys that there is room for, none of them cut."""
        ends = accumulate(entry.cells for entry in self._entries)
        return [entry for entry, end in zip(self._entries, ends, strict=True) if end - GAP <= self.size.width]

    @property
    def _shown_palette(self) -> Entry | None:
        """The palette's key, at the right end where there is room for it."""
        cells = sum(entry.cells for entry in (*self._entries, self._palette) if entry is not None)
        return self._palette if cells <= self.size.width else None


def _drawn(entry: Entry) -> Content:
    words = WORD_STYLE if entry.enabled else LACKING_STYLE
    return Content.assemble((entry.shown, KEY_STYLE), " ", (entry.words, words), " " * GAP)
