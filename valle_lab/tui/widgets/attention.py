"""Attention: where every head looks, one head in detail, and which phoneme is spoken when."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray
from rich.segment import Segment
from textual.binding import Binding, BindingType
from textual.events import MouseDown
from textual.strip import Strip

from valle_lab.tui.blocks import bars, fitted, shades
from valle_lab.tui.heat import heat_strips
from valle_lab.tui.lines import Line, to_strip
from valle_lab.tui.part import CURSOR, Picture
from valle_lab.tui.view import View
from valle_lab.views import PARTS, Alignment, AttentionLook, AttentionView, HeadView

GUTTER = 9
CELL = 3
"""Cells of a head in the grid: a letter, a digit, a space."""
SEPARATORS = "other"
LEAST_MAP_ROWS = 3


class AttentionPart(Picture, can_focus=True):
    """The grid above, the chosen head below it, and the map of phonemes against time where there is room."""

    ABOUT = frozenset({"takes", "view"})
    SLOWLY = frozenset({CURSOR})
    HELP = (
        "## Attention\n\nA row a layer, a column a head: the part that has most of its weight (**T**ext, "
        "**P**rompt, **R**esponse, **O**ther) and how many tenths. Arrows or a click choose a head, whose "
        "weights stand below, a line a part, each on a scale of its own. `m` asks for the map: phonemes from "
        "top to bottom, decisions from left to right, of the heads that read along best."
    )
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("left,h", "turn(0,-1)", show=False, id="attention.left", tooltip="The head before"),
        Binding("right,l", "turn(0,1)", show=False, id="attention.right", tooltip="The next head"),
        Binding("up,k", "turn(-1,0)", show=False, id="attention.up", tooltip="The layer before"),
        Binding("down,j", "turn(1,0)", show=False, id="attention.down", tooltip="The next layer"),
        Binding("m", "map", "Map", id="attention.map", tooltip="Phonemes against time, or not"),
        Binding("n", "reader", "Reader", id="attention.reader", tooltip="The next head that reads along"),
    ]
    COMPONENT_CLASSES: ClassVar[set[str]] = {
        *(f"attention--{name}" for name in (*PARTS, SEPARATORS, "label", "chosen")),
    }

    def __init__(self, view: View, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self.view = view
        self.chosen_layer, self.chosen_head = 0, 0
        self._aligned = False

    @property
    def look(self) -> AttentionLook | None:
        """What is to be asked of the worker."""
        take, step = self.view.take, self.view.step
        if take is None or step is None:
            return None
        place = step.place
        return AttentionLook(
            take.name,
            place.segment,
            place.step,
            layer=self.chosen_layer,
            head=self.chosen_head,
            aligned=self._aligned,
        )

    @property
    def seen(self) -> AttentionView | None:
        """The worker's newest answer, if it is about this take."""
        seen, take = self.view.lab.attention.view, self.view.take
        return seen if seen is not None and take is not None and seen.take == take.name else None

    def paint(self) -> None:
        width, height = self.size
        seen = self.seen
        fits = seen is not None and width > GUTTER + CELL
        self.draw(self._lines(seen, width - GUTTER, height) if seen is not None and fits else ())
        self.say(self._words(seen))

    def action_turn(self, layers: int, heads: int) -> None:
        if (seen := self.seen) is not None:
            rows, columns = seen.shares.shape[:2]
            self._choose((self.chosen_layer + layers) % rows, (self.chosen_head + heads) % columns)

    def action_map(self) -> None:
        self._aligned = not self._aligned
        self.stale = True

    def action_reader(self) -> None:
        seen = self.seen
        readers = seen.alignment.readers if seen is not None and seen.alignment is not None else ()
        known = [(reader.layer, reader.head) for reader in readers]
        if known:
            at = (
                known.index((self.chosen_layer, self.chosen_head)) + 1
                if (self.chosen_layer, self.chosen_head) in known
                else 0
            )
            self._choose(*known[at % len(known)])

    def on_mouse_down(self, event: MouseDown) -> None:
        seen = self.seen
        if seen is not None and event.x >= GUTTER:
            layer, head = event.y, (event.x - GUTTER) // CELL
            if layer < seen.shares.shape[0] and head < seen.shares.shape[1]:
                self._choose(layer, head)

    def _choose(self, layer: int, head: int) -> None:
        self.chosen_layer, self.chosen_head = layer, head
        self.view.lab.attention.look(self.look)
        self.repaint()

    def _lines(self, seen: AttentionView, width: int, height: int) -> list[Strip]:
        lines = grid_lines(seen.shares, width)
        begin = self.chosen_head * CELL
        over = {self.chosen_layer: {begin: "attention--chosen", begin + 1: "attention--chosen"}}
        strips = [
            to_strip(line, GUTTER, "attention--label", self.style_of, over.get(y))
            for y, line in enumerate(lines)
        ]
        if seen.head is not None:
            detail = head_lines(seen.head, seen.symbols, width)
            strips += [to_strip(line, GUTTER, "attention--label", self.style_of) for line in detail]
        room = height - len(strips)
        if seen.alignment is not None and room >= LEAST_MAP_ROWS:
            picture = map_picture(seen.alignment, width, 2 * room)
            labels, style = map_labels(seen.symbols, len(picture)), self.style_of("attention--label")
            strips += [
                Strip([Segment(f"{label:<{GUTTER}}", style), *heat])
                for label, heat in zip(labels, heat_strips(picture), strict=True)
            ]
        return strips[:height]

    def _words(self, seen: AttentionView | None) -> str:
        if self.view.take is None:
            return "speak, and here stands where the model looks"
        if self.look is None:
            return self.view.lack
        if seen is None:
            return self.view.lab.attention.failure or "asked for"
        text, prompt, response = seen.shares[self.chosen_layer, self.chosen_head]
        shares = f"text {text:.2f} prompt {prompt:.2f} response {response:.2f}"
        words = f"layer {self.chosen_layer} head {self.chosen_head}: {shares}"
        if seen.alignment is not None:
            best = ", ".join(f"{r.layer}.{r.head} {r.monotony:.2f}" for r in seen.alignment.readers[:3])
            at = int(seen.alignment.path[min(seen.row, len(seen.alignment.path) - 1)])
            words += f" · at {seen.symbols[at]} · readers {best}"
        return words


def grid_lines(shares: NDArray[np.float32], width: int) -> list[Line]:
    """A line a layer: the part that has most of each head's weight, and its tenths."""
    lines = []
    names = (*PARTS, SEPARATORS)
    for layer, heads in enumerate(shares):
        cells, styles = "", []
        for share in heads:
            whole = np.append(share, max(0.0, 1.0 - float(share.sum())))
            most = int(whole.argmax())
            cells += f"{names[most][0].upper()}{min(9, int(10 * whole[most]))} "
            styles += [f"attention--{names[most]}"] * CELL
        cells = cells[:width].ljust(width)
        styles = [*styles, *["attention--label"] * width][:width]
        lines.append(Line(f"layer {layer}", cells, styles))
    return lines


def head_lines(head: HeadView, symbols: tuple[str, ...], width: int) -> list[Line]:
    """A line a part, each on its own scale, with the phonemes spelled out below the first."""
    lines = []
    for name, weights in zip(PARTS, (head.text, head.prompt, head.response), strict=True):
        highest = float(weights.max(initial=0.0))
        values = weights.astype(np.float64) / (highest or 1.0)
        spread = values if name == "text" and len(values) <= width else fitted(values, width)
        (cells,) = bars(spread[:width], 1)
        lines.append(Line(name, cells.ljust(width), f"attention--{name}"))
        if name == "text":
            lines.append(Line("", spelled(symbols)[:width].ljust(width), "attention--label"))
    return lines


def spelled(symbols: Sequence[str]) -> str:
    """A character a symbol."""
    return "".join((symbol[:1] or " ") if symbol.isprintable() else " " for symbol in symbols)


def map_picture(alignment: Alignment, width: int, rows: int) -> NDArray[np.int64]:
    """Shades [rows or less, width] of the map: phonemes from top to bottom, decisions from left to right."""
    weights = np.sqrt(alignment.map.astype(np.float64)).T
    weights = fitted(fitted(weights, min(width, max(1, weights.shape[1]))).T, min(rows, weights.shape[0])).T
    return shades(weights, 0.0, float(weights.max(initial=0.0)) or 1.0)


def map_labels(symbols: Sequence[str], rows: int) -> list[str]:
    """The phonemes of each line of a map of so many rows, of which a line holds two."""
    whole = spelled(symbols)
    starts = [row * len(whole) // rows for row in range(0, rows, 2)]
    return [
        whole[start:end][: GUTTER - 1] for start, end in zip(starts, [*starts[1:], len(whole)], strict=True)
    ]
