"""The signs of failure of a take, on takes that are made to fail in one way each."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from toy_model import toy_request

from valle.request import Sentence
from valle.step import Evidence, Place, Step
from valle.take import Segment, Take
from valle_lab import failures
from valle_lab.failures import Check, checks, strain, surprise

PHONEMES = "abcdefghij"
FRAMES = 80


def take(
    frames: int = FRAMES, stop: str = "stop", run: int = 1, bits: Any = 1.0, voice: bool = False
) -> Take:
    """A sentence of ten phonemes, with a run of one code, each frame surprising the model so much."""
    request = replace(toy_request(1, "c"), sentences=(Sentence("x", PHONEMES, (1, 2)),))
    codes = np.arange(frames, dtype=np.int16)
    codes[:run] = 1000
    surprises = np.broadcast_to(bits, frames) * np.log(2)
    steps = tuple(
        Step(
            "take",
            Place(0, "ar", 0, index),
            codes[index : index + 1],
            codes[index : index + 1],
            evidence=Evidence(np.array([5.0], np.float32), np.array([5.0 - more], np.float32)),
        )
        for index, more in enumerate(surprises)
    )
    return Take(request if voice else replace(request, prompt=None), (Segment((codes,) * 8, stop),), steps)


def sound(silent: float = 0.0) -> np.ndarray:
    """Two tones with a silence between them."""
    tone = np.sin(np.arange(12_000) / 10).astype(np.float32)
    return np.concatenate([tone, np.zeros(round(silent * 24_000), np.float32), tone])


def failed(made: Take, wave: np.ndarray | None = None) -> list[str]:
    return [check.name for check in checks(made, sound() if wave is None else wave) if check.failed]


def test_a_healthy_take_fails_nothing() -> None:
    bits = np.r_[np.full(37, 3.0), np.full(43, 2.0)]
    found = {check.name: check.told for check in checks(take(bits=bits), sound(0.2))}
    assert found == {"stop": "stop", "pace": "8.0", "silence": "0.20 s", "run": "1", "start": "+1.0 bits"}
    assert failed(take()) == []


@pytest.mark.parametrize(
    ("made", "wave", "name"),
    [
        (take(stop="length"), None, "stop"),
        (take(stop="finish"), None, "stop"),
        (take(frames=101), None, "pace"),
        (take(frames=29), None, "pace"),
        (take(), sound(1.1), "silence"),
        (take(run=30), None, "run"),
        (take(bits=np.r_[np.full(37, 4.1), np.full(43, 2.0)]), None, "start"),
    ],
)
def test_each_failure_is_found_and_nothing_else(made: Take, wave: np.ndarray | None, name: str) -> None:
    assert failed(made, wave) == [name]


@pytest.mark.parametrize(
    ("made", "wave"),
    [
        (take(frames=99), None),
        (take(frames=31), None),
        (take(), sound(0.9)),
        (take(run=29), None),
        (take(bits=np.r_[np.full(37, 3.9), np.full(43, 2.0)]), None),
        (take(bits=np.r_[np.full(37, 9.0), np.full(43, 2.0)], voice=True), None),
    ],
)
def test_just_within_the_limits_is_healthy(made: Take, wave: np.ndarray | None) -> None:
    assert failed(made, wave) == []


def test_what_cannot_be_told_is_left_out() -> None:
    names = [check.name for check in checks(take(frames=40), None)]
    assert names == ["stop", "pace", "run"], "too short for a start, no sound for a silence"
    empty = replace(take(), segments=(Segment((np.zeros(0, np.int16),) * 8, "cancel"),), steps=())
    assert failed(empty) == ["stop", "pace"]


def test_strain_sorts_by_failures_first() -> None:
    one, two = Check("pace", "", 1.5), Check("run", "", 1.1)
    fine = Check("stop", "", 0.0)
    assert strain([one, fine]) == (1, 1.5) and strain([two, two]) == (2, 1.1) and strain([]) == (0, 0.0)
    assert sorted([strain([two, two]), strain([one]), strain([fine])])[0] == (0, 0.0)


def test_surprise_is_in_bits_and_of_one_segment() -> None:
    assert surprise(take(bits=3.0).steps) == pytest.approx([3.0] * FRAMES, abs=1e-5)
    assert surprise(take().steps, segment=1) == []


def test_limits_are_declared_once() -> None:
    assert (failures.FASTEST, failures.SLOWEST, failures.LONGEST_SILENCE) == (3.0, 10.0, 1.0)
    assert (failures.LONGEST_RUN, failures.UNSETTLED) == (30, 2.0)
