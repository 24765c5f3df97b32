"""A small phoneme recogniser, trained on espeak-ng's own audio alone: the ears of the evaluation."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from valle.audio.builtin.network import Block, FrameConvolution
from valle.text.symbols import PUNCTUATION, SPECIALS, SUPRASEGMENTALS, SYMBOLS
from valle.training.measures import MEL_BANDS, log_mel

WIDTH, BLOCKS = 192, 6
BLANK = 0
UNHEARD = frozenset((*SPECIALS, *PUNCTUATION, *SUPRASEGMENTALS))
"""Symbols that are no sounds of their own: pauses, stress, length."""


def sounds(ids: Sequence[int] | NDArray[np.integer]) -> list[int]:
    """The ids of a text that stand for sounds, which is what a listener can be asked for."""
    return [int(index) for index in ids if SYMBOLS[int(index)] not in UNHEARD]


def edit_distance(first: Sequence[int], second: Sequence[int]) -> int:
    """How many insertions, deletions and replacements turn one sequence into the other (Levenshtein)."""
    row = list(range(len(second) + 1))
    for i, left in enumerate(first):
        previous, row = row, [i + 1]
        for j, right in enumerate(second):
            row.append(min(previous[j] + (left != right), previous[j + 1] + 1, row[j] + 1))
    return row[-1]


class Recogniser(nn.Module):
    """Log-mel frames to symbols, by connectionist temporal classification (Graves et al., 2006)."""

    def __init__(self, symbols: int = len(SYMBOLS)) -> None:
        super().__init__()
        self.first = FrameConvolution(MEL_BANDS, WIDTH, 3)
        self.blocks = nn.ModuleList(Block(WIDTH) for _ in range(BLOCKS))
        self.norm = nn.LayerNorm(WIDTH)
        self.last = nn.Linear(WIDTH, symbols)

    def forward(self, features: Tensor) -> Tensor:
        """Scores [batch, frames, symbols] of log-mel frames [batch, frames, bands]; symbol 0 is the blank."""
        x = self.first(features)
        for block in self.blocks:
            x = block(x)
        scores: Tensor = self.last(self.norm(x))
        return scores

    @torch.inference_mode()
    def hear(self, wave: NDArray[np.float32]) -> list[int]:
        """The ids of the sounds in a wave: the likeliest symbol of each frame, repeats and blanks dropped."""
        features = log_mel(wave)
        if not len(features):
            return []
        best = self(torch.from_numpy(features)[None])[0].argmax(-1)
        return [int(symbol) for symbol in torch.unique_consecutive(best) if symbol != BLANK]

    def error_rate(self, wave: NDArray[np.float32], ids: Sequence[int]) -> float:
        """Phoneme error rate: edits from what is heard to the sounds of `ids`, over their number."""
        wanted = sounds(ids)
        return edit_distance(self.hear(wave), wanted) / max(1, len(wanted))


def load_recogniser(path: Path) -> Recogniser:
    """A recogniser that `recogniser_training` has saved."""
    recogniser = Recogniser()
    recogniser.load_state_dict(torch.load(path, weights_only=True)["model"])
    return recogniser.eval()
