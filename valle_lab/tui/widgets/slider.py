"""A slider for one number: arrows, fine and coarse moves, a number typed, the mouse, and the way back."""

from __future__ import annotations

import time
from typing import ClassVar

from textual.binding import Binding, BindingType
from textual.content import Content
from textual.events import Click, Key, MouseDown, MouseMove, MouseUp
from textual.message import Message
from textual.widget import Widget

from valle_lab.tui.scale import COARSE, FINE, Scale, shown

VALUE_CELLS = 8
TYPED = "0123456789.-+e"
DRAG_PACE = 0.1
"""Seconds between two changes while the mouse drags."""
HELD = 0.4
"""Changes that follow each other so fast are undone at once."""
KNOB, DONE, LEFT = "●", "━", "─"
KNOB_STYLE, DONE_STYLE, LEFT_STYLE = "bold $text-accent", "$text-accent", "dim"
VALUE_STYLE, TYPED_STYLE = "$text", "bold reverse"


class Slider(Widget, can_focus=True):
    """Shows a number on a scale and says `Changed` when a person has moved it."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("left,h", "move(-1)", "Less", id="slider.less", tooltip="One step down"),
        Binding("right,l", "move(1)", "More", id="slider.more", tooltip="One step up"),
        Binding("shift+left,H", f"move(-{FINE})", show=False, id="slider.fine_less", tooltip="A little down"),
        Binding("shift+right,L", f"move({FINE})", show=False, id="slider.fine_more", tooltip="A little up"),
        Binding("pageup", f"move({COARSE})", show=False, id="slider.coarse_more", tooltip="Ten steps up"),
        Binding(
            "pagedown", f"move(-{COARSE})", show=False, id="slider.coarse_less", tooltip="Ten steps down"
        ),
        Binding("home", "edge(0)", show=False, id="slider.least", tooltip="The least value"),
        Binding("end", "edge(1)", show=False, id="slider.most", tooltip="The greatest value"),
        Binding("backspace,delete", "reset", "Reset", id="slider.reset", tooltip="Back to the default"),
    ]

    class Changed(Message):
        """A person chose another number, or None: the default."""

        def __init__(self, slider: Slider, value: float | None, held: bool = False) -> None:
            """`held`: it goes on with the change before, by a key held down or a mouse that drags."""
            super().__init__()
            self.slider, self.value, self.held = slider, value, held

        @property
        def control(self) -> Slider:
            return self.slider

    def __init__(self, scale: Scale, value: float, default: float, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self.scale = scale
        self.value = value
        self._default = default
        self._typed = ""
        self._dragging = False
        self._dragged = False
        """Whether this drag has said something already."""
        self._said_at = 0.0
        self._said = value

    def show(self, value: float) -> None:
        """Show a number that was not chosen here."""
        if not self._dragging and value != self.value:
            self.value = value
            self.refresh()

    def render(self) -> Content:
        track = max(0, self.size.width - VALUE_CELLS - 1)
        if self._typed:
            number = Content.styled(f"{self._typed}▏"[-VALUE_CELLS:].rjust(VALUE_CELLS), TYPED_STYLE)
        else:
            number = Content.styled(shown(self.value).rjust(VALUE_CELLS), VALUE_STYLE)
        if track < 3:
            return number
        knob = round(self.scale.share(self.value) * (track - 1))
        tick = round(self.scale.share(self._default) * (track - 1))
        cells = [DONE] * knob + [KNOB] + [LEFT] * (track - knob - 1)
        if tick != knob:
            cells[tick] = "┿" if tick < knob else "┼"
        bar = "".join(cells)
        return Content.assemble(
            Content.styled(bar[:knob], DONE_STYLE),
            Content.styled(bar[knob], KNOB_STYLE),
            Content.styled(bar[knob + 1 :], LEFT_STYLE),
            " ",
            number,
        )

    def action_move(self, steps: float) -> None:
        self._choose(self.scale.moved(self.value, steps))

    def action_edge(self, end: int) -> None:
        self._choose(self.scale.high if end else self.scale.low)

    def action_reset(self) -> None:
        if self._typed:
            self._typed = self._typed[:-1]
            self.refresh()
        else:
            self.post_message(self.Changed(self, None))

    def on_key(self, event: Key) -> None:
        """A number is typed in the place of the value; enter takes it, escape does not."""
        if (
            event.character is not None
            and event.character in TYPED
            and (self._typed or event.character != "e")
        ):
            self._typed = (self._typed + event.character)[: 2 * VALUE_CELLS]
        elif self._typed and event.key == "escape":
            self._typed = ""
        elif self._typed and event.key == "enter":
            self._take_typed()
        else:
            return
        event.stop()
        event.prevent_default()
        self.refresh()

    def on_blur(self) -> None:
        if self._typed:
            self._typed = ""
            self.refresh()

    def on_mouse_down(self, event: MouseDown) -> None:
        if event.button == 1 and event.x < self._track:
            self._dragging, self._dragged, self._said = True, False, self.value
            self.capture_mouse()
            self._drag(event.x)

    def on_mouse_move(self, event: MouseMove) -> None:
        if self._dragging:
            self._drag(event.x)

    def on_mouse_up(self, event: MouseUp) -> None:
        if self._dragging:
            if self.value != self._said:
                self._say(self.value)
            self._dragging = self._dragged = False
            self.release_mouse()

    def on_click(self, event: Click) -> None:
        if event.chain == 2:
            self.action_reset()

    @property
    def _track(self) -> int:
        return max(1, self.size.width - VALUE_CELLS - 1)

    def _drag(self, x: int) -> None:
        self.value = self.scale.value(min(max(x, 0), self._track - 1) / max(1, self._track - 1))
        self.refresh()
        if self.value != self._said and time.monotonic() >= self._said_at + DRAG_PACE:
            self._say(self.value)

    def _take_typed(self) -> None:
        try:
            value = float(self._typed)
        except ValueError:
            value = self.value
        self._typed = ""
        self._choose(value)

    def _choose(self, value: float) -> None:
        """What is out of range is left to the stack to refuse, with the reason."""
        value = int(value) if self.scale.whole and value == int(value) else value
        if value != self.value:
            self.value = min(max(value, self.scale.low), self.scale.high)
            self.refresh()
            self._say(value)

    def _say(self, value: float) -> None:
        now = time.monotonic()
        held = self._dragged if self._dragging else now < self._said_at + HELD
        self._said_at, self._said, self._dragged = now, value, self._dragging
        # The knob first: what follows from the change may take longer to paint.
        self.call_after_refresh(self.post_message, self.Changed(self, value, held))
