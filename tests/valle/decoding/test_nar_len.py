"""Demasking: the reference's rounds, and what the schedule, noise, masks and a prefix do."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.torch import load_file

from valle.checkpoints import opening
from valle.control import Guide, NoControl, ScheduledControl
from valle.decoding.run import Run
from valle.decoding.speech import decode_speech
from valle.models.ar_nar import ArNar
from valle.modes import Demasking
from valle.request import Prefix, Prompt, Request, Sentence
from valle.samplers.stack import Stack
from valle.step import Step
from valle.take import Take, assemble

Speak = Callable[..., Take]
PARITY = Path(__file__).parents[2] / "data" / "parity"
GREEDY = {"name": "greedy"}
NAR_LEN = Stack.from_dict(
    {
        "len": [GREEDY],
        "nar_len": [{"name": "temperature", "value": 1.1}, {"name": "draw"}],
        "nar": [GREEDY],
        "ar": [{"name": "draw"}],
    }
)


def guidance(scale: float, rescale: float) -> dict[str, Any]:
    return {"name": "guidance", "scale": scale, "rescale": rescale, "rescale_over": "sequence"}


def rounds(take: Take) -> list[Step]:
    return [step for step in take.steps if step.place.phase == "nar_len" and step.place.segment == 0]


def as_masked(steps: list[Step]) -> np.ndarray:
    """What each round was given, with 1024 for the mask."""
    before = [np.full(len(steps[0].tokens), 1024), *(step.tokens for step in steps[:-1])]
    return np.stack([np.where(mask_of(step), 1024, ids) for step, ids in zip(steps, before, strict=True)])


def mask_of(step: Step) -> np.ndarray:
    assert step.masked is not None
    return step.masked


@pytest.mark.parametrize(
    ("name", "stages"), [("narlen", []), ("narlen_topno1", [{"name": "top_n_sigma", "n": 1.0}])]
)
def test_the_references_rounds(name: str, stages: list[dict[str, Any]]) -> None:
    folder = PARITY / "a_released"
    golden = load_file(folder / "demasking.safetensors")
    given = json.loads((folder / "inputs.json").read_text())["inputs"]
    model = opening.load(folder / "model.sft").model
    request = Request(
        sentences=(Sentence("", "", tuple(given["PHN"])),),
        language="en",
        stack=Stack.from_dict(
            {"nar_len": [guidance(2.5, 0.75), *stages, GREEDY], "nar": [guidance(2.5, 0.7), GREEDY]}
        ),
        seed=0,
        prompt=Prompt(np.array(given["PROM"], np.int16), ""),
        mode="nar-len",
        demasking=Demasking(steps=10, frames=30, confidence="best", confidence_of="final"),
        max_levels=1 if stages else 8,
    )
    run = Run(request, NoControl(), vocabulary=1025)
    take = assemble(request, list(decode_speech(model, run, 0)))
    assert np.array_equal(as_masked(rounds(take)), golden[f"{name}.steps_in"].numpy())
    assert np.array_equal(rounds(take)[-1].tokens, golden[f"{name}.out"].numpy())
    if not stages:
        assert np.array_equal(take.segments[0].codes(), golden["narlen_full"].numpy())


def test_a_schedule_masks_fewer_each_round(speak: Speak) -> None:
    plan = Demasking(steps=6, frames=10)
    take = speak(mode="nar-len", demasking=plan, stack=NAR_LEN)
    counts = [int(step.masked.sum()) for step in rounds(take) if step.masked is not None]
    assert counts == [10, 9, 8, 5, 3, 1]
    assert [step.ended for step in rounds(take)] == [None] * 5 + ["stop"]


def test_what_is_not_masked_stays(speak: Speak) -> None:
    steps = rounds(speak(mode="nar-len", demasking=Demasking(steps=6, frames=10), stack=NAR_LEN))
    for before, step in pairwise(steps):
        assert step.masked is not None
        assert np.array_equal(before.tokens[~step.masked], step.tokens[~step.masked])


def test_without_remasking_a_frame_is_decided_until_it_is_left_out_once(speak: Speak) -> None:
    plan = Demasking(steps=6, frames=10, remasking=False, noise=5.0)
    masks = [mask_of(step) for step in rounds(speak(mode="nar-len", demasking=plan, stack=NAR_LEN))]
    for earlier, later in pairwise(masks):
        assert not (later & ~earlier).any()
    again = replace(plan, remasking=True)
    masks = [mask_of(step) for step in rounds(speak(mode="nar-len", demasking=again, stack=NAR_LEN))]
    assert any((later & ~earlier).any() for earlier, later in pairwise(masks))


def test_the_length_is_what_the_model_says_and_can_be_stretched(speak: Speak) -> None:
    said = speak(task="len", stack=NAR_LEN).ids()
    frames = int("".join(map(str, said)))
    plan = Demasking(steps=2, stretch=0.5)
    most = 10
    assert speak(mode="nar-len", demasking=plan, stack=NAR_LEN).segments[0].frames == min(
        most, max(1, round(frames * 0.5))
    )
    assert speak(mode="nar-len", demasking=replace(plan, frames=7), stack=NAR_LEN).segments[0].frames == 7


def source(frames: int) -> Prompt:
    return Prompt(np.random.default_rng(5).integers(0, 1024, (frames, 8)).astype(np.int16), "codec")


@pytest.mark.parametrize(("start", "changed"), [(0.0, 12), (0.5, 8), (1.0, 1)])
def test_a_source_is_masked_as_far_as_the_start_says(
    start: float, changed: int, speak: Speak, request_: Request
) -> None:
    given = source(12)
    take = speak(
        mode="nar-len",
        stack=NAR_LEN,
        sentences=request_.sentences[:1],
        sources=(given,),
        demasking=Demasking(steps=1, start=start),
    )
    (step,) = rounds(take)
    assert step.masked is not None and step.masked.sum() == changed
    assert np.array_equal(step.tokens[~step.masked], given.codes[~step.masked, 0])
    assert not np.array_equal(step.tokens, given.codes[:, 0]) or changed == 1
    assert not [step for step in take.steps if step.place.phase == "len"]


def test_given_level_0_is_spoken_with_other_levels(speak: Speak, request_: Request) -> None:
    given = source(9)
    take = speak(mode="nar", sentences=request_.sentences[:1], sources=(given,))
    assert np.array_equal(take.segments[0].levels[0], given.codes[:, 0])
    assert {step.place.phase for step in take.steps} == {"nar"}
    assert take.segments[0].codes().shape == (9, 8)


def test_the_ar_writes_the_beginning_and_the_rest_is_demasked(speak: Speak) -> None:
    plan = Demasking(steps=3, frames=9)
    take = speak(mode="ar+nar-len", ar_frames=4, demasking=plan, stack=NAR_LEN)
    written = [step.tokens[0] for step in take.steps if step.place.phase == "ar"][:4]
    for step in rounds(take):
        assert step.masked is not None and not step.masked[:4].any()
        assert step.tokens[:4].tolist() == written


@pytest.mark.parametrize("mode", ["ar+nar", "nar-len"])
def test_a_prefix_changes_what_follows_and_is_not_part_of_it(
    mode: str, speak: Speak, request_: Request
) -> None:
    plan = Demasking(steps=3, frames=10)
    changes: dict[str, Any] = {"mode": mode, "demasking": plan, "stack": NAR_LEN}
    prefix = Prefix(request_.sentences[1], source(6).codes, "codec")
    plain, after = speak(**changes), speak(**changes, prefix=prefix)
    assert after.segments[0].frames == plain.segments[0].frames == 10
    assert not np.array_equal(plain.segments[0].codes(), after.segments[0].codes())


def test_history_is_what_the_segment_before_has_said(speak: Speak, request_: Request) -> None:
    rolling = speak(history=1, between=(4,))
    plain = speak()
    assert np.array_equal(plain.segments[0].codes(), rolling.segments[0].codes())
    first = plain.segments[0].codes()
    joined = Prefix(request_.sentences[0], first, "codec")
    given = speak(prefix=joined, between=(4,))
    assert np.array_equal(rolling.segments[1].codes(), given.segments[1].codes())
    assert not np.array_equal(rolling.segments[1].codes(), plain.segments[1].codes())


def test_a_full_pass_over_prefix_and_text_answers_a_continued_take(
    model: ArNar, speak: Speak, request_: Request
) -> None:
    import torch

    from valle.models.base import Inputs

    prefix = Prefix(request_.sentences[1], source(6).codes, "codec")
    stack = Stack.from_dict({"ar": [GREEDY], "nar": [GREEDY]})
    take = speak(prefix=prefix, stack=stack, between=(4,), sentences=request_.sentences[:1])
    codes = take.segments[0].codes().astype(np.int64)
    whole = torch.from_numpy(np.concatenate([prefix.codes.astype(np.int64), codes]))
    ids = (*request_.sentences[1].ids[:-1], 4, *request_.sentences[0].ids[1:])
    assert request_.prompt is not None
    row = Inputs(
        phonemes=torch.tensor(ids),
        language=0,
        prompt=torch.from_numpy(request_.prompt.codes.astype(np.int64)),
        response=whole[:, :1],
    )
    assert model.full([row])[0][6:-1].argmax(-1).tolist() == codes[:, 0].tolist()
    for level in range(1, 8):
        (logits,) = model.full([replace(row, level=level, response=whole[:, :level])])
        assert logits[6:].argmax(-1).tolist() == codes[:, level].tolist()


@pytest.mark.parametrize(("tolerance", "reached"), [(1e-6, False), (1e3, True)])
def test_another_recorded_mask_is_followed_and_told(tolerance: float, reached: bool, speak: Speak) -> None:
    changes: dict[str, Any] = {"mode": "nar-len", "demasking": Demasking(steps=4, frames=10)}
    first, second, *_ = rounds(speak(stack=NAR_LEN, **changes))
    mask = mask_of(second).copy()
    swapped = [int(np.flatnonzero(mask)[0]), int(np.flatnonzero(~mask)[0])]
    mask[swapped] = ~mask[swapped]
    tokens = np.where(mask, second.tokens, first.tokens)
    guides = {
        first.place: Guide(first.tokens, masked=first.masked, tolerance=tolerance),
        second.place: Guide(tokens, masked=mask, tolerance=tolerance, evidence=second.evidence),
    }
    again = rounds(speak(ScheduledControl([], guides), stack=NAR_LEN, **changes))[1]
    assert np.array_equal(mask_of(again), mask) and np.array_equal(again.tokens, tokens)
    assert again.choices[swapped].tolist() == [-1, -1]
    assert again.within_reach is not None
    # The last frame that would have been masked is as sure as itself; the other one must be far from it.
    assert again.within_reach[swapped].all() == reached
