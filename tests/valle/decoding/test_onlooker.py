"""An onlooker sees what every decision was made from, and changes none of them."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from valle.control import NoControl
from valle.decoding.decide import Situation
from valle.decoding.resumed import Branches
from valle.decoding.run import Run
from valle.decoding.speech import decode_speech
from valle.models.ar_nar import ArNar
from valle.models.arch.observer import Observer
from valle.models.attention_maps import AttentionTrack
from valle.models.layout import Layout
from valle.request import Request
from valle.step import Place, Step
from valle.take import Take, assemble, codes_sha256


class Remembering:
    """Keeps what it is shown."""

    def __init__(self) -> None:
        self.seen: list[tuple[Step, Situation]] = []
        self.tracks: list[AttentionTrack] = []

    def decided(self, step: Step, situation: Situation) -> None:
        self.seen.append((step, situation))

    def begins(self, place: Place, branches: Branches) -> Branches:
        return branches

    def observer(self, place: Place, layout: Callable[[], Layout]) -> Observer | None:
        """One track a segment."""
        if place.step == 0:
            self.tracks.append(AttentionTrack(layout()))
        return self.tracks[-1]


def test_what_was_kept_decides_the_same_again(
    model: ArNar, request_: Request, speak: Callable[..., Take]
) -> None:
    onlooker = Remembering()
    run = Run(request_, NoControl(), vocabulary=model.config.stop + 1, onlooker=onlooker)
    take = assemble(request_, list(decode_speech(model, run, 0)))
    assert codes_sha256(take.segments) == codes_sha256(speak().segments)
    assert [step.place for step, _ in onlooker.seen] == [step.place for step in take.steps]
    ar_steps = sum(step.place.phase == "ar" for step in take.steps)
    assert [track.layers for track in onlooker.tracks] == [2, 2]
    assert sum(map(len, onlooker.tracks)) == ar_steps
    for step, kept in onlooker.seen:
        again = kept.sampler.decide(kept.logits, kept.rows, kept.states)
        assert np.array_equal(again.choice, step.choices)
        assert np.array_equal(again.log_probability, step.log_probability)
