"""What hints at a take that failed: five checks, each with a limit that is declared here and nowhere else.

They need no model: the stop, the codes, the phonemes, the sound and the trace tell. Limits hold for 75 frames
a second; healthy takes of the built-in voice have 3.3 to 7.3 frames a phoneme, runs of 15 frames at most,
silences of 0.1 s and starts within 1.3 bits of the rest.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from valle.audio.wav import Wave
from valle.request import FRAME_RATE
from valle.step import Step
from valle.take import Take
from valle_lab.metrics import phoneme_count, repetition, silence

FASTEST, SLOWEST = 3.0, 10.0
"""Frames a phoneme: less is a text that was left early, more one that was drawn out or run on."""
LONGEST_SILENCE = 1.0
"""Seconds without sound inside a take."""
LONGEST_RUN = 30
"""Frames of one code of level 0 in a row: 0.4 s."""
UNSETTLED = 2.0
"""Bits by which the start of a take without a voice may surprise the model more than the rest does."""
START_FRAMES = FRAME_RATE // 2
"""What counts as the start: half a second."""
BEYOND = 2.0
"""Strain of a take that did not end by itself."""
BIT = math.log(2.0)


@dataclass(frozen=True, slots=True)
class Check:
    """One sign of failure."""

    name: str
    """`stop`, `pace`, `silence`, `run` or `start`."""
    told: str
    """What was found, in a word with its unit."""
    strain: float
    """How much of what it may be: it fails from 1 on."""

    @property
    def failed(self) -> bool:
        """Whether the limit is reached."""
        return self.strain >= 1.0


def checks(take: Take, wave: Wave | None) -> tuple[Check, ...]:
    """The checks of a take that is over, and its sound; what cannot be told of it is left out.

    `stop`: it ended otherwise than by the stop token. `pace`: frames a phoneme. `silence`: the longest one
    inside. `run`: the longest run of one code of level 0. `start`: of a take without a voice, how many bits
    more the model was surprised by its first half second than by the rest; a voice that has not settled.
    """
    found = [_stop(take), _pace(take), _silence(wave), _run(take), _start(take)]
    return tuple(check for check in found if check is not None)


def strain(found: Iterable[Check]) -> tuple[int, float]:
    """How many checks failed, and the greatest strain: what takes are sorted by, the least first."""
    found = list(found)
    return sum(check.failed for check in found), max((check.strain for check in found), default=0.0)


def surprise(steps: Iterable[Step], segment: int = 0) -> list[float]:
    """How much each frame of level 0 surprised the model: -log2 of its raw probability, in bits."""
    return [
        float(step.evidence.logsumexp[0] - step.evidence.chosen[0]) / BIT
        for step in steps
        if step.evidence is not None
        and step.place.segment == segment
        and step.place.phase == "ar"
        and step.ended != "stop"
    ]


def _stop(take: Take) -> Check:
    endings = {segment.stop for segment in take.segments} | {take.stop}
    ended = next((ending for ending in ("cancel", "length", "finish") if ending in endings), "stop")
    return Check("stop", ended, 0.0 if ended == "stop" else BEYOND)


def _pace(take: Take) -> Check | None:
    sounds = sum(phoneme_count(sentence.phonemes) for sentence in take.request.sentences)
    if not sounds:
        return None
    pace = take.frames / sounds
    return Check("pace", f"{pace:.1f}", max(pace / SLOWEST, FASTEST / pace if take.frames else BEYOND))


def _silence(wave: Wave | None) -> Check | None:
    if wave is None or not len(wave):
        return None
    longest = silence(wave).longest_inner
    return Check("silence", f"{longest:.2f} s", longest / LONGEST_SILENCE)


def _run(take: Take) -> Check | None:
    runs = [repetition(segment.levels[0]).longest_run for segment in take.segments if segment.frames]
    return Check("run", str(max(runs)), max(runs) / LONGEST_RUN) if runs else None


def _start(take: Take) -> Check | None:
    bits = surprise(take.steps)
    if take.request.prompt is not None or len(bits) < 2 * START_FRAMES:
        return None
    more = float(np.mean(bits[:START_FRAMES]) - np.mean(bits[START_FRAMES:]))
    return Check("start", f"{more:+.1f} bits", max(0.0, more / UNSETTLED))
