"""Where the rows of a sequence should look in another segment of it, by the timings of the renderer."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

HEARD_BEFORE, HEARD_AFTER = 1, 2
"""Frames; what comes before is all that a frame's key knows of, so the sound is best told at its end."""

Alignment = NDArray[np.int16]
"""The place in the text of the symbol that sounds in each frame, [frames], never falling."""


@dataclass(frozen=True, eq=False)
class Aim:
    """Where in a segment each row of the output should look: from `starts` to before `stops`, [N]."""

    segment: str
    starts: Tensor
    stops: Tensor


def said(alignment: Alignment | None) -> Aim | None:
    """Frames look at the symbol that sounds in them. None where it is not known."""
    if alignment is None:
        return None
    places = torch.from_numpy(alignment.astype(np.int64))
    return Aim("phonemes", places, places + 1)


def heard(alignment: Alignment | None, symbols: int) -> Aim | None:
    """Symbols, so many, look at the frames in which they sound and at those next to these; one that has no
    frame, such as a stress mark, at those where it would be. None where it is not known when they sound."""
    if alignment is None:
        return None
    places, frames = np.arange(symbols), len(alignment)
    first = np.searchsorted(alignment, places, side="left")
    end = np.searchsorted(alignment, places, side="right")
    starts, stops = np.clip(first - HEARD_BEFORE, 0, frames - 1), np.clip(end + HEARD_AFTER, 1, frames)
    return Aim("response", torch.from_numpy(starts), torch.from_numpy(stops))
