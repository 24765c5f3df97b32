"""Commands on a recording's own words: load them, change some, speak them, compare with the recording."""

from __future__ import annotations

import difflib
from concurrent.futures import Future
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from valle.audio.wav import SAMPLE_RATE
from valle.errors import UserError
from valle_lab.lab.registry import command
from valle_lab.lab.takes import named, take_names, with_wave
from valle_lab.lab.text import set_text
from valle_lab.lab.voices import chosen
from valle_lab.session.sound import RANGE_DB, mel_power

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from valle_lab.lab.lab import Lab
    from valle_lab.worker.surface import Wave

FRAMES_AT_ONCE = 3
"""Frames of 10 ms that are one step of the comparison."""


@dataclass(frozen=True, slots=True)
class Edited:
    """A take beside the recording that it is spoken after."""

    take: str
    voice: str
    words: tuple[tuple[str, str], ...]
    """What the recording says and what the take says in its place, where these differ."""
    seconds: tuple[float, float]
    distance: float
    """Decibels between the log-mel spectra, along the way on which they are nearest."""


def load(lab: Lab) -> str:
    """Take what the chosen voice says for the text, to change some words and speak them again."""
    voice = chosen(lab)
    if not voice.transcript.strip():
        raise UserError(f"What {voice.name} says is not known; give it with voice.transcript.")
    set_text(lab, voice.transcript)
    return voice.transcript


def compare(lab: Lab, take: str | None = None) -> Future[Edited]:
    """Compare a take with the chosen voice's recording: which words differ, and how far the sound does."""
    voice, spoken = chosen(lab), named(lab, take)
    recording = voice.wave()
    answer: Future[Edited] = Future()

    def heard(wave: Wave) -> None:
        if not len(wave):
            raise UserError(f"{spoken.name} has no sound to compare.")
        seconds = round(len(recording) / SAMPLE_RATE, 2), round(len(wave) / SAMPLE_RATE, 2)
        words = changed_words(voice.transcript, spoken.text)
        answer.set_result(Edited(spoken.name, voice.name, words, seconds, nearest(recording, wave)))

    with_wave(lab, spoken, heard)
    return answer


def changed_words(before: str, after: str) -> tuple[tuple[str, str], ...]:
    """The runs of words that differ, as pairs; one side is empty where words were left out or put in."""
    one, other = before.split(), after.split()
    matcher = difflib.SequenceMatcher(None, one, other, autojunk=False)
    return tuple(
        (" ".join(one[a:b]), " ".join(other[c:d]))
        for kind, a, b, c, d in matcher.get_opcodes()
        if kind != "equal"
    )


def nearest(one: Wave, other: Wave) -> float:
    """The mean distance of two waves in dB where both are stretched to be nearest (dynamic time warping)."""
    left, right = _levels(one), _levels(other)
    apart = np.sqrt(((left[:, None] - right[None]) ** 2).mean(-1))
    total = np.full((len(left) + 1, len(right) + 1), np.inf)
    steps = np.zeros_like(total)
    total[0, 0] = 0.0
    for i in range(1, len(left) + 1):
        for j in range(1, len(right) + 1):
            a, b = min(((i - 1, j - 1), (i - 1, j), (i, j - 1)), key=lambda place: float(total[place]))
            total[i, j] = total[a, b] + apart[i - 1, j - 1]
            steps[i, j] = steps[a, b] + 1
    return round(float(total[-1, -1] / steps[-1, -1]), 2)


def _levels(wave: Wave) -> NDArray[np.float64]:
    """Log-mel frames of 30 ms, each relative to its wave's loudest band, so that loudness does not count."""
    power = mel_power(wave)
    power = power[: max(1, len(power) // FRAMES_AT_ONCE) * FRAMES_AT_ONCE]
    power = power.reshape(-1, min(FRAMES_AT_ONCE, len(power)), power.shape[1]).mean(1)
    loudest = max(float(power.max()), 1e-10)
    return np.asarray(10 * np.log10(np.maximum(power / loudest, 10 ** (-RANGE_DB / 10))))


COMMANDS = (
    command("edit.load", load),
    command("edit.compare", compare, complete={"take": take_names}),
)
