"""The side channel on attention: measures by hand, the reference's scores, and no bit of a logit changed."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

from valle.checkpoints import opening
from valle.control import Event, LiveControl, NoControl, ScheduledControl
from valle.decoding.attention import LastQuery, measured
from valle.decoding.branches import Pair, StepByStep, with_frames
from valle.decoding.run import Run
from valle.decoding.speech import decode_speech, null_inputs, speech_inputs
from valle.errors import UserError
from valle.models.ar_nar import ArNar
from valle.models.base import Inputs
from valle.request import NullBranch, Recipe, Request, Sentence
from valle.samplers import Stack, StackError
from valle.samplers.regions import REGIONS, region_of
from valle.samplers.rows import AttentionMeasures
from valle.step import Place
from valle.take import Take, codes_sha256

Speak = Callable[..., Take]

PARITY = Path(__file__).parents[2] / "data" / "parity" / "a_released"
LONG = Sentence("", "", tuple([1, *range(20, 50), 2]))
MADE = torch.tensor([3, 14, 15, 92, 65, 35])
NAMES = ("entropy", "varentropy", "agreement", "interaction")


def numbers(measures: AttentionMeasures) -> Tensor:
    """All measures [4, layers] of one row."""
    return torch.stack([getattr(measures, name)[0] for name in NAMES])


def by_hand(scores: list[list[float]]) -> list[float]:
    """One layer's measures, head by head, in plain Python."""
    rows = [[math.exp(value) / sum(map(math.exp, head)) for value in head] for head in scores]
    entropies = [-sum(p * math.log2(p) for p in row) for row in rows]
    spreads = [
        sum(p * (math.log2(p) + entropy) ** 2 for p in row)
        for row, entropy in zip(rows, entropies, strict=True)
    ]
    mean = [sum(column) / len(rows) for column in zip(*rows, strict=True)]
    apart = [sum(abs(p - q) for p, q in zip(row, mean, strict=True)) / 2 for row in rows]
    flat = [abs(value) for head in scores for value in head]
    average = [sum(values) / len(values) for values in (entropies, spreads, apart, flat)]
    return [average[0], average[1], 1 - average[2], average[3]]


def test_two_heads_on_two_keys() -> None:
    scores = [[0.0, 0.0], [math.log(3), 0.0]]
    assert by_hand(scores) == pytest.approx([0.905639, 0.235510, 0.875, math.log(3) / 4], abs=1e-6)
    found = [float(part[0]) for part in measured(np.array([scores], np.float32))]
    assert found == pytest.approx(by_hand(scores), abs=1e-6)


def test_a_head_that_looks_at_one_key_only_has_no_entropy() -> None:
    found = measured(np.array([[200.0, -200.0, 0.0]] * 3, np.float32))
    assert [float(part) for part in found] == pytest.approx([0.0, 0.0, 1.0, 400 / 3], abs=1e-4)


def test_keys_that_are_not_seen_count_for_nothing() -> None:
    random = np.random.default_rng(0)
    scores = random.normal(0.0, 3.0, (5, 2, 9)).astype(np.float32)
    seen = random.random((5, 1, 9)) < 0.6
    for row, part in enumerate(zip(*measured(scores, seen), strict=True)):
        assert list(part) == pytest.approx(by_hand(scores[row][:, seen[row, 0]].tolist()), abs=1e-5)


def test_the_scores_of_the_reference() -> None:
    given = json.loads((PARITY / "inputs.json").read_text())["inputs"]
    ids = {name: torch.tensor(given[name]) for name in ("PHN", "PROM", "RESP")}
    row = Inputs(phonemes=ids["PHN"], language=0, prompt=ids["PROM"], response=ids["RESP"])
    watch = LastQuery()
    opening.load(PARITY / "model.sft").model.full([row], watch)
    golden = load_file(PARITY / "golden.safetensors")["ar.attn_scores_last_row"]
    expected = torch.tensor([by_hand(layer.tolist()) for layer in golden]).T
    assert torch.allclose(numbers(watch.measures()), expected, atol=1e-4)


def branches(model: ArNar, request: Request, recipe: Any = "one batch") -> StepByStep:
    sentence = request.sentences[0]
    pair = Pair(speech_inputs(request, sentence, 0), null_inputs(request, sentence, 0))
    return StepByStep(model, pair, with_frames, len(MADE) + 1, Recipe(guidance=recipe))


@pytest.mark.parametrize("recipe", ["one batch", "two passes"])
@pytest.mark.parametrize("begins", [0, 2])
def test_every_step_is_seen_as_one_pass_over_all_sees_it(
    model: ArNar, request_: Request, recipe: Any, begins: int
) -> None:
    """Also where the null branch is longer, so that the conditional one is padded in front."""
    request = replace(request_, null=NullBranch(LONG, "same"))
    at_work = branches(model, request, recipe)
    for step in range(len(MADE) + 1):
        seen = at_work.next(MADE[:step], guided=begins <= step < 5, attended=True).attention
        watch = LastQuery()
        model.full([with_frames(speech_inputs(request, request.sentences[0], 0), MADE[:step])], watch)
        assert seen is not None
        assert torch.allclose(numbers(seen), numbers(watch.measures()), atol=1e-4)


def test_looking_changes_no_bit_and_leaves_nothing_behind(model: ArNar, request_: Request) -> None:
    attended, blind = branches(model, request_), branches(model, request_)
    for step in range(len(MADE) + 1):
        one = attended.next(MADE[:step], guided=True, attended=True)
        other = blind.next(MADE[:step], guided=True)
        assert torch.equal(one.conditional, other.conditional)
        assert one.null is not None and other.null is not None and torch.equal(one.null, other.null)
        assert other.attention is None
    for module in model.modules():
        assert not module._forward_hooks and not module._forward_pre_hooks


def test_layers_are_averaged_and_must_be_there() -> None:
    measures = AttentionMeasures(*(torch.tensor([[1.0, 2.0, 6.0]]) * factor for factor in (1, 2, 3, 4)))
    assert measures.over().entropy.tolist() == [3.0]
    assert measures.over([0, 2]).varentropy.tolist() == [7.0]
    assert measures.over((1,)).interaction.tolist() == [8.0]
    with pytest.raises(StackError, match="no layer 3: the model has 3"):
        measures.over([1, 3])


def test_without_a_pass_there_is_nothing_to_measure() -> None:
    with pytest.raises(ValueError, match="no pass"):
        LastQuery().measures()


ENTROPIX = {"name": "entropix", "high_entropy": 6.0, "high_varentropy": 1.0, "layers": [1]}


def test_entropix_speaks_and_its_regions_can_be_told_afterwards(speak: Speak) -> None:
    stack = Stack.from_dict({"ar": [ENTROPIX], "nar": [{"name": "greedy"}]})
    take = speak(stack=stack)
    assert codes_sha256(take.segments) == codes_sha256(speak(stack=stack).segments)
    parameters = stack.effective("ar")[0].parameters
    regions = [region_of(step.measures, parameters) for step in take.steps if step.place.phase == "ar"]
    assert {len(found) for found in regions} == {1} and {name for (name,) in regions} <= set(REGIONS)


def test_entropix_may_come_and_go_in_mid_take_with_guidance(speak: Speak) -> None:
    events = [
        Event("set", "entropix.layers", [0], Place(0, "ar", 0, 3)),
        Event("set", "guidance.scale", 2.0, Place(0, "ar", 0, 4)),
        Event("set", "draw.on", True, Place(0, "ar", 0, 7)),
    ]
    take = speak(ScheduledControl(events))
    assert take.events == tuple(events)
    again = speak(ScheduledControl(take.events))
    assert codes_sha256(take.segments) == codes_sha256(again.segments)


def test_where_the_backbone_has_no_attention_it_is_refused(model: ArNar, request_: Request) -> None:
    stack = Stack.from_dict({"ar": [ENTROPIX], "nar": [{"name": "greedy"}]})
    run = Run(replace(request_, stack=stack), NoControl(), vocabulary=1025, attends=False)
    with pytest.raises(UserError, match="ar:entropix looks at attention, and the model's backbone has none"):
        next(decode_speech(model, run, 0))
    live = LiveControl()
    live.put(Event("set", "entropix.temperature", 1.0))
    run = Run(request_, live, vocabulary=1025, attends=False)
    steps = list(decode_speech(model, run, 0))
    assert steps and "no" in live.refused[0][1] and not steps[0].events
