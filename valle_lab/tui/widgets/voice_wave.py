"""The waveform of a voice's recording, with the part of it that is the prompt."""

from __future__ import annotations

from concurrent.futures import Future
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray
from textual.message import Message
from textual.strip import Strip
from textual.widget import Widget

from valle.audio.wav import SAMPLE_RATE
from valle.voices import Voice
from valle_lab.lab.answers import beside
from valle_lab.tui.braille import curve
from valle_lab.tui.lines import Line, to_strip
from valle_lab.tui.widgets.sound import stretched

LEAST_SECONDS = 0.5


class VoiceWave(Widget):
    """The waveform of a recording; what is not part of the prompt is dimmed."""

    COMPONENT_CLASSES: ClassVar[set[str]] = {"wave--prompt", "wave--rest"}

    class Read(Message):
        """The recording is there."""

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._voice: Voice | None = None
        self._wave: NDArray[np.float32] = np.zeros(0, np.float32)
        self._strips: list[Strip] = []
        self.start = 0.0
        self.seconds = 0.0

    def show(self, voice: Voice | None) -> None:
        """Read another recording, in a thread of its own, and draw it."""
        if voice is self._voice or voice is None:
            return
        self._voice, self._wave = voice, np.zeros(0, np.float32)
        self._draw()
        if voice.recording.is_file():
            answer = beside(voice.wave)
            app = self.app  # which the thread that reads does not know
            answer.add_done_callback(lambda done: app.call_later(self._read, voice, done))

    def whole(self) -> None:
        """Take all of it as the prompt."""
        self.mark(0.0, None)

    def mark(self, start: float, seconds: float | None) -> None:
        """Show which part is the prompt; without `seconds` it is to the end."""
        rest = max(0.0, len(self._wave) / SAMPLE_RATE - start)
        part = start, rest if seconds is None else seconds
        if part != (self.start, self.seconds):
            self.start, self.seconds = part
            self._draw()

    def nudge(self, begin: float, end: float) -> bool:
        """Move the ends of the prompt; says whether there is anything to move."""
        length = len(self._wave) / SAMPLE_RATE
        stop = min(length, self.start + self.seconds + end)
        start = min(max(0.0, self.start + begin), max(0.0, stop - LEAST_SECONDS))
        self.start, self.seconds = round(start, 2), round(stop - start, 2)
        self._draw()
        return length > 0

    def on_resize(self) -> None:
        self._draw()

    def render_line(self, y: int) -> Strip:
        return self._strips[y] if y < len(self._strips) else Strip.blank(self.size.width, self.rich_style)

    def _draw(self) -> None:
        width, height = self.size
        self._strips = []
        if len(self._wave) and width:
            highest = max(float(np.abs(self._wave).max()), 1e-3)
            rows = curve(stretched(self._wave, 2 * width), width, height, -highest, highest)
            length = len(self._wave) / SAMPLE_RATE
            first, last = (int(at / length * width) for at in (self.start, self.start + self.seconds))
            styles = [f"wave--{'prompt' if first <= x < last else 'rest'}" for x in range(width)]
            style_of = self.get_component_rich_style
            self._strips = [to_strip(Line("", row, styles), 0, "wave--rest", style_of) for row in rows]
        self.refresh()

    def _read(self, voice: Voice, done: Future[NDArray[np.float32]]) -> None:
        if voice is self._voice and done.exception() is None:
            self._wave = done.result()
            self._draw()
            self.post_message(self.Read())
