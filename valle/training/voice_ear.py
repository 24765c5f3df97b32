"""Which of some voices a wave sounds like: an ear that knows them from espeak-ng's own audio alone."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from valle.training.measures import voice_print

Floats = NDArray[np.float32]


class VoiceEar:
    """Tells voices by their `voice_print`, each number of it in units of how much it varies within a voice.

    What a sentence says changes its mean spectrum more than some voices differ. So every voice is known by
    the mean of several sentences, and a number counts the less, the more it goes with the sentence (a linear
    discriminant with one diagonal covariance, after Fisher, 1936).
    """

    def __init__(self, recordings: Sequence[Sequence[Floats]]) -> None:
        """Learn the voices, each from several waves of different sentences."""
        prints = [np.stack([voice_print(wave) for wave in waves]) for waves in recordings]
        self._means = np.stack([each.mean(0) for each in prints])
        within = np.concatenate([each - each.mean(0) for each in prints])
        freedom = len(within) - len(prints)
        self._spread = np.sqrt((within**2).sum(0) / max(1, freedom)) + 1e-6

    def nearest(self, wave: Floats) -> int:
        """The place of the voice that a wave sounds most like."""
        return int(np.linalg.norm((self._means - voice_print(wave)) / self._spread, axis=1).argmin())
