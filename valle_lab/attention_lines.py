"""Attention in words: the shares of all heads, one head in detail, phonemes against time."""

from __future__ import annotations

import numpy as np

from valle.request import FRAME_RATE
from valle_lab.lines import WIDTH, Lines, table
from valle_lab.tui.braille import curve
from valle_lab.views import PARTS, AttentionView

SHADES = " .:-=+*#%@"


def attention_lines(view: AttentionView) -> Lines:
    """How much each head looks at text, prompt and response, in percent, and which heads read along."""
    layers, heads, _ = view.shares.shape
    head = ("layer", *(f"head {number}" for number in range(heads)))
    rows = [
        (
            layer,
            *(
                "/".join(f"{100 * share:.0f}" for share in view.shares[layer, number])
                for number in range(heads)
            ),
        )
        for layer in range(layers)
    ]
    lines = [f"decision {view.row} of {view.rows}: text/prompt/response in %", *table([head, *rows])]
    if view.alignment is not None:
        best = ", ".join(f"{r.layer}.{r.head} ({r.monotony:.2f})" for r in view.alignment.readers[:3])
        at = int(view.alignment.path[min(view.row, len(view.alignment.path) - 1)])
        lines += [f"read along by {best}; at phoneme {at} {view.symbols[at]!r}"]
    return lines


def head_lines(view: AttentionView, width: int = WIDTH) -> Lines:
    """What one head looks at: each phoneme with its weight, then prompt and response as curves over time."""
    head = view.head
    if head is None:
        return ["no head was asked for"]
    shares = dict(zip(PARTS, view.shares[head.layer, head.head].tolist(), strict=True))
    told = ", ".join(f"{part} {share:.2f}" for part, share in shares.items())
    lines = [f"layer {head.layer} head {head.head} at decision {view.row} of {view.rows}: {told}"]
    most = max(float(head.text.max(initial=0.0)), 1e-9)
    room = max(4, width - 20)
    for number, (symbol, weight) in enumerate(zip(view.symbols, head.text.tolist(), strict=False)):
        lines.append(f"{number:4} {symbol:5} {weight:.3f} {'#' * round(room * weight / most)}".rstrip())
    for name, weights in (("prompt", head.prompt), ("response", head.response)):
        if len(weights):
            highest = float(weights.max())
            lines.append(f"{name}, {len(weights)} frames, at most {highest:.3f} on frame {weights.argmax()}")
            lines += curve(weights.astype(np.float64), width, 2, 0.0, max(highest, 1e-9))
    return lines


def alignment_lines(view: AttentionView, width: int = WIDTH) -> Lines:
    """Phonemes from top to bottom, time from left to right: shades of attention, and when each begins."""
    found = view.alignment
    if found is None:
        return ["no head was asked for its way along the text"]
    best = ", ".join(f"{reader.layer}.{reader.head} ({reader.monotony:.2f})" for reader in found.readers[:3])
    rows = len(found.map)
    columns = max(1, min(rows, width - 16))
    starts = np.arange(columns) * rows // columns
    shown = np.maximum.reduceat(found.map, starts, axis=0) if rows else found.map
    shades = np.array(list(SHADES))[np.clip(shown * len(SHADES), 0, len(SHADES) - 1).astype(int)]
    lines = [f"segment {view.segment}, {rows / FRAME_RATE:.2f} s, read along by {best}"]
    for number, symbol in enumerate(view.symbols):
        begins = np.flatnonzero(found.path == number)
        second = f"{begins[0] / FRAME_RATE:.2f} s" if len(begins) else "-"
        lines.append(f"{symbol:5} {second:>7}  {''.join(shades[:, number])}".rstrip())
    return lines
