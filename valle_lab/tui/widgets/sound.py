"""The sound of the chosen take: its waveform with the playhead, and its codes as a picture."""

from __future__ import annotations

from contextlib import suppress
from textwrap import wrap
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray
from rich.cells import set_cell_size
from rich.segment import Segment as Piece
from textual.binding import Binding, BindingType
from textual.events import MouseDown
from textual.strip import Strip

from valle.audio.wav import SAMPLE_RATE
from valle.errors import UserError
from valle.request import FRAME_RATE, LEVELS
from valle.take import Segment
from valle_lab.lab.state import LabTake
from valle_lab.lab.takes import with_wave
from valle_lab.tui.blocks import fitted, sampled, shades
from valle_lab.tui.braille import curve
from valle_lab.tui.heat import heat_strips
from valle_lab.tui.lines import Line, to_strip
from valle_lab.tui.messages import CommandWanted
from valle_lab.tui.part import CURSOR, Picture
from valle_lab.tui.view import View

CODES = 1024
LEAST_WAVE_ROWS = 2
SEEK_SECONDS = 0.5

TRANSPORT: list[BindingType] = [
    Binding("space", "app.command('take.pause')", "Play/pause", id="sound.pause", tooltip="Play, or pause"),
    Binding("left,h", f"seek(-{SEEK_SECONDS})", show=False, id="sound.back", tooltip="Half a second back"),
    Binding("right,l", f"seek({SEEK_SECONDS})", show=False, id="sound.on", tooltip="Half a second on"),
    Binding("o", "app.command('take.loop')", show=False, id="sound.loop", tooltip="Loop, or not"),
    Binding("b", "app.command('take.ab')", "A/B", id="sound.ab", tooltip="The other take, at the same place"),
]


class SoundView(Picture, can_focus=True):
    """Waveform above, codes below: a row a level, the eight of them in four lines."""

    ABOUT = frozenset({"takes", "sound"})
    SLOWLY = frozenset({"steps", CURSOR})
    HELP = (
        "## Sound\n\nThe waveform of the chosen take with the playhead, and its codes: a line a level, 0 at "
        "the top, a shade per code. Space plays and pauses, left and right seek, `o` loops, `b` changes to "
        "the other take of an A/B, 1 to 8 hear only so many levels; a click seeks. Of a take that gives no "
        "speech it is the answer: phonemes, words or a length."
    )
    BINDINGS: ClassVar[list[BindingType]] = [
        *TRANSPORT,
        *(
            Binding(str(n), f"solo({n})", show=False, id=f"sound.solo{n}", tooltip=f"Hear levels below {n}")
            for n in range(1, LEVELS + 1)
        ),
    ]
    COMPONENT_CLASSES: ClassVar[set[str]] = {"sound--wave", "sound--playhead", "sound--cursor"}

    def __init__(self, view: View, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self.view = view
        self._asked = ""

    def paint(self) -> None:
        take = self.view.take
        width, height = self.size
        if take is None or width < 4 or height < 1:
            self.say("")
            self.draw(())
            return
        if not take.speaks:
            self.draw(self._answer(take, width, height))
            self.say("")
            return
        self._ask(take)
        codes = code_picture(take.segments)
        code_rows = LEVELS // 2 if height >= LEVELS // 2 + LEAST_WAVE_ROWS else 0
        lines = self._wave(take, width, height - code_rows)
        if code_rows:
            lines += heat_strips(shades(sampled(codes, width), -1, CODES - 1))
        self.draw(lines)
        self.say(self._words(take, codes))

    def action_seek(self, by: float) -> None:
        self.post_message(CommandWanted("take.skip", by))

    def action_solo(self, levels: int) -> None:
        self.post_message(CommandWanted("take.solo", levels))

    def on_mouse_down(self, event: MouseDown) -> None:
        take = self.view.take
        if take is not None and take.timeline.frames:
            seconds = event.x / max(1, self.size.width) * take.timeline.frames / FRAME_RATE
            self.view.look_at(self.view.timeline.row_at(seconds))
            self.post_message(CommandWanted("take.seek", seconds))

    def _answer(self, take: LabTake, width: int, height: int) -> list[Strip]:
        """What a take without speech came to, in full."""
        style = self.style_of("sound--wave")
        rows = wrap(take.answer, width)[:height]
        return [Strip([Piece(set_cell_size(row, width), style)], width) for row in rows]

    def _ask(self, take: LabTake) -> None:
        """Have the sound of a finished take decoded, once."""
        if take.running or take.wave is not None or self._asked == take.name or not take.segments:
            return
        self._asked = take.name
        with suppress(UserError):
            with_wave(self.view.lab, take, self._answered)

    def _answered(self, wave: NDArray[np.float32]) -> None:
        self._asked = ""

    def _wave(self, take: LabTake, width: int, height: int) -> list[Strip]:
        wave = take.wave if take.wave is not None else np.zeros(0, np.float32)
        highest = max(float(np.abs(wave).max(initial=0.0)), 1e-3)
        over: dict[int, str] = {}
        frames = take.timeline.frames
        if (cursor := self.view.cursor) is not None and frames:
            over[_column(self.view.timeline.seconds(cursor), frames, width)] = "sound--cursor"
        player = self.view.lab.player
        if player is not None and player.state != "stopped" and frames:
            over[_column(player.position, frames, width)] = "sound--playhead"
        rows = curve(stretched(wave, 2 * width), width, height, -highest, highest)
        return [to_strip(Line("", row, "sound--wave"), 0, "sound--wave", self.style_of, over) for row in rows]

    def _words(self, take: LabTake, codes: NDArray[np.float64]) -> str:
        player = self.view.lab.player
        cursor = self.view.cursor
        words = []
        if player is not None and player.state != "stopped":
            words.append(f"{player.state} {player.position:.1f}/{player.duration:.1f} s")
        elif take.wave is not None:
            words.append(f"{len(take.wave) / SAMPLE_RATE:.2f} s")
        if cursor is not None and codes.shape[1]:
            frame = min(round(self.view.timeline.seconds(cursor) * FRAME_RATE), codes.shape[1] - 1)
            ids = " ".join("·" if code < 0 else f"{code:.0f}" for code in codes[:, frame])
            words.append(f"frame {frame}: {ids}")
        return " · ".join(words)


def code_picture(segments: tuple[Segment, ...]) -> NDArray[np.float64]:
    """Codes of all levels [8, frames] of the whole take; -1 where a level is not made yet."""
    parts = []
    for segment in segments:
        part = np.full((LEVELS, segment.frames), -1.0)
        for level, codes in enumerate(segment.levels):
            part[level, : len(codes)] = codes
        parts.append(part)
    return np.concatenate(parts, axis=1) if parts else np.zeros((LEVELS, 0))


def stretched(wave: NDArray[np.float32], dots: int) -> NDArray[np.float64]:
    """A wave that is drawn over the whole width, however short it is."""
    values = wave.astype(np.float64)
    return values if not 0 < len(values) < dots else fitted(values, dots)


def _column(seconds: float, frames: int, width: int) -> int:
    return min(width - 1, int(seconds * FRAME_RATE / frames * width))
