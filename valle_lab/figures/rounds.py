"""The rounds of demasking: which frames of level 0 each round decided, and how sure the model was of them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from valle.request import FRAME_RATE
from valle.step import Step
from valle_lab.figures.canvas import Picture, nothing, plain, sheet, title

MOST_BITS = 10.0


def rounds(steps: Sequence[Step]) -> Picture:
    """Rounds from top to bottom, frames from left to right: raw entropy where a round decided."""
    rasters = demasked(steps)
    if not rasters:
        return nothing("level 0 was not made by demasking")
    figure = sheet(9, 0.8 + 2.2 * len(rasters))
    all_axes = figure.subplots(len(rasters), 1, squeeze=False)[:, 0]
    for axes, (segment, raster) in zip(all_axes, rasters.items(), strict=True):
        extent = (0.0, raster.shape[1] / FRAME_RATE, len(raster) + 0.5, 0.5)
        image = plain(axes).imshow(
            raster,
            extent=extent,
            vmin=0.0,
            vmax=MOST_BITS,
            cmap="viridis",
            aspect="auto",
            interpolation="nearest",
        )
        axes.set_ylabel("round", fontsize="small")
        title(axes, f"segment {segment}: entropy, raw, bits, of the frames that each round decided")
        figure.colorbar(image, ax=axes)
    all_axes[-1].set_xlabel("seconds of the segment", fontsize="small")
    return Picture(figure)


def demasked(steps: Sequence[Step]) -> dict[int, NDArray[np.float64]]:
    """By segment the raw entropy [rounds, frames] of demasking, NaN where a round left the id as it was."""
    rasters: dict[int, list[NDArray[np.float64]]] = {}
    for step in steps:
        if step.place.phase == "nar_len" and len(step.tokens) and step.measures:
            entropy = step.measures[0].entropy.astype(np.float64)
            decided = entropy if step.masked is None else np.where(step.masked, entropy, np.nan)
            rasters.setdefault(step.place.segment, []).append(decided)
    return {segment: np.stack(rows) for segment, rows in rasters.items()}
