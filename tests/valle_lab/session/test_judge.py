"""The judge's verdicts on evidence made by hand."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from valle.control import Event
from valle.request import Request
from valle.step import Evidence, Place, Step
from valle.take import assemble
from valle_lab.session.agreement import Tolerance, agreement
from valle_lab.session.judge import Judge, Judgement, Mode

FULL, HALF = Tolerance.of("float32", "float32"), Tolerance.of("float32", "bfloat16")


def evidence(chosen: float, logsumexp: float = 9.0, ids: range = range(8)) -> Evidence:
    logits = np.array([[chosen - index for index in range(8)]], np.float32)
    return Evidence(
        np.array([logsumexp], np.float32),
        np.array([chosen], np.float32),
        np.array([list(ids)], np.int16),
        logits,
    )


def step(index: int, token: int, choice: int | None = None, chosen: float = 5.0, **more: object) -> Step:
    """One AR decision; `chosen` is the raw logit of the token."""
    made = Step(
        take="take",
        place=Place(0, "ar", 0, index),
        tokens=np.array([token], np.int16),
        choices=np.array([token if choice is None else choice], np.int16),
        margin=np.array([0.25], np.float32),
        evidence=evidence(chosen),
    )
    return replace(made, **more)  # type: ignore[arg-type]


def judged(
    request: Request, recorded: list[Step], replayed: list[Step], mode: Mode = "tolerant", half: bool = False
) -> Judgement:
    judge = Judge(assemble(request, recorded), mode, HALF if half else FULL)
    for item in replayed:
        if not judge.see(item):
            break
    return judge.judgement()


RECORDED = [step(0, 11), step(1, 12), step(2, 1024, ended="stop")]


@pytest.mark.parametrize("mode", ["exact", "tolerant", "forced"])
def test_the_same_steps_are_identical(request_: Request, mode: Mode) -> None:
    told = judged(request_, RECORDED, RECORDED, mode)
    assert (told.verdict, told.kind, told.first_divergence) == ("identical", None, None)
    assert (told.decisions, told.different, told.evidence_difference) == (3, 0, 0.0)


def test_a_choice_within_reach_is_benign(request_: Request) -> None:
    other = step(1, 12, 77, chosen=5.0005, within_reach=np.array([True]))
    told = judged(request_, RECORDED, [RECORDED[0], other, RECORDED[2]])
    assert (told.verdict, told.kind, told.different) == ("benign", None, 1)
    assert told.evidence_difference == pytest.approx(5e-4, rel=1e-2)
    first = told.first_divergence
    assert first is not None
    assert (first.phase, first.level, first.step, first.position) == ("ar", 0, 1, 0)
    assert (first.recorded, first.replayed, first.margin) == (12, 77, 0.25)
    assert first.seconds == pytest.approx(1 / 75, abs=1e-3)


@pytest.mark.parametrize("reach", [None, np.array([False])])
def test_a_choice_out_of_reach_is_the_samplers(request_: Request, reach: object) -> None:
    other = step(1, 12, 77, within_reach=reach)
    told = judged(request_, RECORDED, [RECORDED[0], other, RECORDED[2]])
    assert (told.verdict, told.kind) == ("diverged", "sampler")


@pytest.mark.parametrize("at", [0, 2])
def test_other_logits_before_or_after_are_the_models(request_: Request, at: int) -> None:
    replayed = [RECORDED[0], step(1, 12, 77, within_reach=np.array([True])), RECORDED[2]]
    replayed[at] = replace(replayed[at], evidence=evidence(5.002))
    told = judged(request_, RECORDED, replayed)
    assert (told.verdict, told.kind) == ("diverged", "model")
    assert told.first_divergence is not None and told.first_divergence.step == 1


def test_other_logits_alone_are_the_models(request_: Request) -> None:
    replayed = [RECORDED[0], step(1, 12, chosen=5.002), RECORDED[2]]
    told = judged(request_, RECORDED, replayed)
    assert (told.verdict, told.kind, told.different) == ("diverged", "model", 0)
    assert told.first_divergence is not None and told.first_divergence.step == 1
    assert judged(request_, RECORDED, replayed, half=True).verdict == "identical"
    assert judged(request_, RECORDED, replayed, "exact").verdict == "identical"


def test_exact_says_diverged_where_tolerant_says_benign(request_: Request) -> None:
    other = step(1, 77, within_reach=np.array([True]))
    told = judged(request_, RECORDED, [RECORDED[0], other, step(2, 5)], "exact")
    assert (told.verdict, told.kind, told.different) == ("diverged", None, 1)
    assert told.first_divergence is not None and told.first_divergence.replayed == 77


def test_ends_are_decisions_too(request_: Request) -> None:
    short = judged(request_, RECORDED, RECORDED[:2])
    assert (short.verdict, short.kind) == ("diverged", "sampler")
    assert short.first_divergence is not None
    assert (short.first_divergence.recorded, short.first_divergence.replayed) == (1024, None)
    longer = judged(request_, RECORDED, [*RECORDED, step(3, 9)])
    assert longer.verdict == "diverged" and longer.first_divergence is not None
    assert (longer.first_divergence.recorded, longer.first_divergence.replayed) == (None, 9)


def test_a_forced_token_is_nobodys_choice(request_: Request) -> None:
    forced = replace(step(1, 12, 40), events=(Event("force", value=12, place=Place(0, "ar", 0, 1)),))
    recorded = [RECORDED[0], forced, RECORDED[2]]
    assert judged(request_, recorded, [RECORDED[0], step(1, 12, 41), RECORDED[2]]).verdict == "identical"
    unforced = [RECORDED[0], step(1, 12, 40), RECORDED[2]]
    assert judged(request_, unforced, unforced).verdict == "diverged"


def test_evidence_of_the_null_pass_is_judged_as_well(request_: Request) -> None:
    guided = [replace(item, null_evidence=evidence(3.0)) for item in RECORDED]
    assert judged(request_, guided, guided).verdict == "identical"
    other = [replace(item, null_evidence=evidence(3.1)) for item in RECORDED]
    assert judged(request_, guided, other).kind == "model"
    assert judged(request_, guided, RECORDED).kind == "model"


@pytest.mark.parametrize(
    ("value", "off", "tolerance", "too_much"),
    [
        (5.0, 9e-4, FULL, False),
        (5.0, 1.1e-3, FULL, True),
        (2.0, 0.049, HALF, False),
        (2.0, 0.051, HALF, True),
        (40.0, 0.49, HALF, False),
        (40.0, 0.51, HALF, True),
        (-40.0, 0.49, HALF, False),
        (5.0, float("nan"), FULL, True),
        (5.0, float("inf"), FULL, True),
    ],
)
def test_the_tolerance_is_that_of_the_design(
    value: float, off: float, tolerance: Tolerance, too_much: bool
) -> None:
    same = np.array([True])
    ours, theirs = (replace(evidence(0.0), chosen=np.array([v])) for v in (value, value + off))
    assert agreement(ours, theirs, same, tolerance).beyond.tolist() == [too_much]
    assert not agreement(ours, theirs, ~same, tolerance).beyond.any()
    ours, theirs = (replace(evidence(0.0), logsumexp=np.array([v])) for v in (value, value + off))
    assert agreement(ours, theirs, ~same, tolerance).beyond.tolist() == [too_much]


def test_the_best_logits_are_compared_by_id() -> None:
    same = np.array([True])
    ours = evidence(5.0)
    swapped = replace(ours, top_ids=np.array([[1, 0, 2, 3, 4, 5, 6, 7]], np.int16))
    assert agreement(ours, swapped, same, FULL).difference[0] == pytest.approx(1.0)
    edge = replace(ours, top_ids=np.array([[0, 1, 2, 3, 4, 5, 6, 99]], np.int16))
    assert not agreement(ours, edge, same, FULL).beyond.any()
    strange = replace(ours, top_ids=np.array([[0, 1, 2, 3, 4, 5, 99, 7]], np.int16))
    assert agreement(ours, strange, same, FULL).beyond.all()
