"""The noise of the built-in decoder: a fixed sequence, addressed by frame."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from valle.audio.builtin.pitch import HOP

KEY = 0x76616C6C65
WORDS = HOP // 2
BLOCKS = WORDS // 4


def frame_noise(start: int, count: int) -> NDArray[np.float32]:
    """Noise of unit variance for the frames from `start` on, [count * HOP].

    Philox (Salmon et al., 2011) gives four 64-bit words for every value of its counter, so that the noise
    of a frame does not depend on where a computation began. Each word holds two samples, uniform and exact
    in float32.
    """
    generator = np.random.Philox(key=KEY, counter=start * BLOCKS)
    halves = generator.random_raw(count * WORDS).view(np.uint32)
    uniform = (halves >> 8).astype(np.float32) * np.float32(2.0**-24)
    return (uniform - np.float32(0.5)) * np.float32(12**0.5)
