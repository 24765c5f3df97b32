"""Where the heads look, and which phoneme is spoken when."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from valle.request import FRAME_RATE
from valle_lab.figures.canvas import ORANGE, Picture, nothing, plain, sheet, title
from valle_lab.views import PARTS, AttentionView

MOST_NAMED = 90
"""Phonemes that still can be read one above the other."""


def attention(view: AttentionView) -> Picture:
    """Layers by heads, a map each for text, prompt and response: a head's share there."""
    layers, heads, _ = view.shares.shape
    figure = sheet(2.2 + 1.8 * len(PARTS), 1.2 + 0.28 * layers)
    maps = figure.subplots(1, len(PARTS), sharey=True)
    for number, (axes, part) in enumerate(zip(maps, PARTS, strict=True)):
        image = axes.imshow(view.shares[:, :, number], vmin=0.0, vmax=1.0, cmap="viridis", aspect="auto")
        axes.set_xticks(range(heads))
        axes.set_yticks(range(layers))
        axes.tick_params(labelsize="small")
        axes.set_xlabel("head", fontsize="small")
        title(axes, part)
        if number == len(PARTS) - 1:
            figure.colorbar(image, ax=axes, label="share")
    maps[0].set_ylabel("layer", fontsize="small")
    return Picture(figure)


def alignment(views: Sequence[AttentionView]) -> Picture:
    """Phonemes against time, a map a segment, with the best way through it."""
    aligned = [(view, view.alignment) for view in views if view.alignment is not None]
    if not aligned:
        return nothing("no head was asked for its way along the text")
    heights = [max(1.8, 0.09 * min(len(view.symbols), MOST_NAMED)) for view, _ in aligned]
    figure = sheet(9, 0.6 + sum(heights))
    for axes, (view, found) in zip(
        figure.subplots(len(aligned), 1, height_ratios=heights, squeeze=False)[:, 0], aligned, strict=True
    ):
        rows, phonemes = found.map.shape
        extent = (0.0, rows / FRAME_RATE, phonemes - 0.5, -0.5)
        plain(axes).imshow(found.map.T, extent=extent, aspect="auto", cmap="viridis", interpolation="nearest")
        axes.plot((np.arange(rows) + 0.5) / FRAME_RATE, found.path, color=ORANGE, linewidth=1.0)
        if phonemes <= MOST_NAMED:
            axes.set_yticks(range(phonemes), view.symbols, fontsize=5, parse_math=False)
        readers = ", ".join(f"{reader.layer}.{reader.head}" for reader in found.readers[:3])
        title(axes, f"segment {view.segment}: read along by {readers}")
    axes.set_xlabel("seconds of the segment", fontsize="small")
    return Picture(figure)
