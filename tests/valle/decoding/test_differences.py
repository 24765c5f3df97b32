"""What demasking and a single head do otherwise than the reference, on purpose."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from valle.abilities import completed, levels_of
from valle.control import NoControl
from valle.decoding.run import Run
from valle.decoding.speech import decode_speech, speech_inputs
from valle.models.ar_nar import ArNar
from valle.models.config import ModelConfig
from valle.modes import Demasking
from valle.request import Prompt, Request, Sentence
from valle.samplers.stack import Stack
from valle.step import Step
from valle.take import Take, assemble

Speak = Callable[..., Take]
GREEDY = [{"name": "greedy"}]
WARM = [{"name": "temperature", "value": 1.0}, {"name": "draw"}]
PLAN = Demasking(steps=4, frames=9)


def stack(**lists: object) -> Stack:
    return Stack.from_dict({"ar": WARM, "nar": GREEDY, "len": GREEDY, "nar_len": WARM, **lists})


def rounds(take: Take) -> list[Step]:
    return [step for step in take.steps if step.place.phase == "nar_len"]


def test_demasking_is_guided_as_asked(speak: Speak) -> None:
    plain = speak(mode="nar-len", demasking=PLAN, stack=stack())
    assert all(step.null_evidence is None for step in rounds(plain))
    off = [{"name": "guidance", "scale": 1.0}, *WARM]
    same = speak(mode="nar-len", demasking=PLAN, stack=stack(nar_len=off))
    assert all(np.array_equal(a.tokens, b.tokens) for a, b in zip(rounds(plain), rounds(same), strict=True))
    weak = [{"name": "guidance", "scale": 1.2}, *WARM]
    guided = speak(mode="nar-len", demasking=PLAN, stack=stack(nar_len=weak))
    assert all(step.null_evidence is not None for step in rounds(guided))


def test_demasking_has_a_stack_of_its_own(speak: Speak) -> None:
    cold = [{"name": "temperature", "value": 0.0}, {"name": "draw"}]
    one = speak(mode="nar-len", demasking=PLAN, stack=stack())
    other = speak(mode="nar-len", demasking=PLAN, stack=stack(ar=cold))
    third = speak(mode="nar-len", demasking=PLAN, stack=stack(nar_len=cold))
    assert np.array_equal(one.segments[0].codes(), other.segments[0].codes())
    assert not np.array_equal(one.segments[0].codes(), third.segments[0].codes())


@pytest.mark.parametrize("confidence", ["taken", "best"])
def test_confidence_is_of_the_id_that_stands_there(
    confidence: Any, model: ArNar, speak: Speak, request_: Request
) -> None:
    plan = replace(PLAN, confidence=confidence, steps=3)
    first, second, _ = rounds(speak(mode="nar-len", demasking=plan, stack=stack()))[:3]
    row = speech_inputs(request_, request_.sentences[0], 0)
    masks = torch.full((9, 1), model.config.stop)
    (logits,) = model.full([replace(row, response=masks, masked=True)])
    sure = logits.log_softmax(-1)
    ids = torch.from_numpy(first.tokens.astype(np.int64))
    scores = sure.amax(-1) if confidence == "best" else sure.gather(-1, ids[:, None])[:, 0]
    assert second.masked is not None
    worst = set(scores.argsort()[: int(second.masked.sum())].tolist())
    assert worst == set(np.flatnonzero(second.masked).tolist())


def test_one_head_shows_each_phase_its_own_ids() -> None:
    torch.manual_seed(4)
    config = ModelConfig(dim=16, layers=1, heads=2, ffn=32, languages=1, split_classifiers=False)
    model = ArNar(config).eval().requires_grad_(False)
    assert model.classifier is not None
    model.classifier.weight[5000:] += 3.0
    lists = completed(stack(), ("len", "nar_len"), config)
    assert [item.name for item in lists.stages("ar")] == ["allowed_range", "temperature", "draw"]
    request = Request(
        sentences=(Sentence("", "", (1, 20, 31, 2)),),
        language="en",
        stack=lists,
        seed=1,
        prompt=Prompt(np.ones((4, 8), np.int16), ""),
        max_frames=6,
        demasking=Demasking(steps=2),
    )
    for mode in ("ar+nar", "nar-len"):
        run = Run(replace(request, mode=mode), NoControl(), vocabulary=1025)
        take = assemble(run.request, list(decode_speech(model, run, 0)))
        assert take.segments[0].codes().max(initial=0) < 1024
        digits = [int(step.tokens[0]) for step in take.steps if step.place.phase == "len"]
        assert all(digit <= 10 for digit in digits)


def test_the_last_level_of_a_range_is_made() -> None:
    config = ModelConfig(dim=8, layers=1, heads=2, ffn=16, rvq_level_range=(0, 4))
    assert levels_of(config) == 5
    assert levels_of(replace(config, rvq_level_range=())) == 8
    assert levels_of(replace(config, audio_levels=4)) == 4
