"""Guidance in the loops: what the null pass is given, when it is made, and that both recipes agree."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from valle.checkpoints import opening
from valle.control import Control, Event, NoControl, ScheduledControl
from valle.decoding.branches import Pair, StepByStep, with_frames
from valle.decoding.decide import Situation
from valle.decoding.nar import decode_nar
from valle.decoding.resumed import Branches
from valle.decoding.run import Run
from valle.decoding.speech import decode_speech, null_inputs, speech_inputs
from valle.models.ar_nar import ArNar
from valle.models.base import Inputs
from valle.models.layout import Layout
from valle.request import NullBranch, Prompt, Recipe, Request, Sentence
from valle.samplers.stack import Stack
from valle.step import Place, Step
from valle.take import Take, codes_sha256

Speak = Callable[..., Take]
PARITY = Path(__file__).parents[2] / "data" / "parity" / "a_released"
WIDE = {"rescale": 0.7, "rescale_over": "sequence"}
GUIDED = Stack.from_dict(
    {
        "ar": [{"name": "guidance", "scale": 2.0}, {"name": "temperature", "value": 0.9}, {"name": "draw"}],
        "nar": [{"name": "guidance", "scale": 1.5, **WIDE}, {"name": "greedy"}],
    }
)
OTHER_TEXT = Sentence("A much longer one.", "ə mˈʌtʃ", (1, 44, 45, 46, 20, 21, 22, 23, 24, 25, 26, 27, 2))
BRANCHES = {
    "nothing": NullBranch(),
    "another text": NullBranch(text=OTHER_TEXT, voice="same"),
    "no voice": NullBranch(text="same", voice="none"),
    "another voice": NullBranch("same", Prompt(np.full((30, 8), 5, np.int16), "codec")),
}


class Seeing:
    """Keeps the situation of every step."""

    def __init__(self) -> None:
        self.seen: dict[Place, Situation] = {}

    def decided(self, step: Step, situation: Situation) -> None:
        self.seen[step.place] = situation

    def begins(self, place: Place, branches: Branches) -> Branches:
        return branches

    def observer(self, place: Place, layout: Callable[[], Layout]) -> None:
        return None


def watched(
    model: ArNar, request: Request, control: Control | None = None
) -> tuple[list[Step], dict[Place, Situation]]:
    seeing = Seeing()
    run = Run(request, control or NoControl(), vocabulary=model.config.stop + 1, onlooker=seeing)
    return list(decode_speech(model, run, 0)), seeing.seen


def switch(on: bool, step: int) -> Event:
    return Event("set", "guidance.on", on, Place(0, "ar", 0, step))


def conditional_of(situation: Situation) -> torch.Tensor:
    return situation.logits


def null_of(situation: Situation) -> torch.Tensor:
    assert situation.rows.null is not None
    return situation.rows.null


def level_0(steps: list[Step]) -> torch.Tensor:
    made = [int(step.tokens[0]) for step in steps if step.place.phase == "ar" and step.place.segment == 0]
    return torch.tensor(made)


@pytest.mark.parametrize("recipe", ["one batch", "two passes"])
@pytest.mark.parametrize("name", BRANCHES)
def test_the_null_pass_answers_what_the_request_names(
    model: ArNar, request_: Request, name: str, recipe: Any
) -> None:
    request = replace(request_, stack=GUIDED, null=BRANCHES[name], recipe=Recipe(guidance=recipe))
    steps, seen = watched(model, request)
    sentence, codes = request.sentences[0], level_0(steps)
    for row, of in (
        (speech_inputs(request, sentence, 0), conditional_of),
        (null_inputs(request, sentence, 0), null_of),
    ):
        (whole,) = model.full([with_frames(row, codes)])
        for step in range(len(codes)):
            assert torch.allclose(of(seen[Place(0, "ar", 0, step)])[0], whole[step], atol=1e-4)
        made = [torch.from_numpy(step.tokens.astype(np.int64)) for step in steps if step.place.segment == 0]
        levels = torch.stack([codes, *made[len(codes) :]], 1)
        (third,) = model.full([replace(row, level=3, response=levels[:, :3])])
        assert torch.allclose(of(seen[Place(0, "nar", 3, 0)]), third, atol=1e-4)
    assert all(step.null_evidence is not None for step in steps)


def test_what_the_null_pass_is_given(request_: Request) -> None:
    sentence = request_.sentences[1]
    nothing = null_inputs(request_, sentence, 0)
    assert nothing.phonemes is not None and nothing.phonemes.tolist() == [1, 2]
    assert nothing.prompt is None and nothing.language == 0
    other = null_inputs(replace(request_, null=BRANCHES["another text"]), sentence, 0)
    assert other.phonemes is not None and tuple(other.phonemes.tolist()) == OTHER_TEXT.ids
    assert request_.prompt is not None and isinstance(other.prompt, torch.Tensor)
    assert np.array_equal(other.prompt.numpy(), request_.prompt.codes)
    voice = null_inputs(replace(request_, null=BRANCHES["another voice"]), sentence, 0)
    assert voice.phonemes is not None and tuple(voice.phonemes.tolist()) == sentence.ids
    assert isinstance(voice.prompt, torch.Tensor) and voice.prompt.shape == (30, 8)


@pytest.mark.parametrize("recipe", ["one batch", "two passes"])
def test_guidance_may_begin_and_end_at_any_step(model: ArNar, request_: Request, recipe: Any) -> None:
    stack = GUIDED.switch("guidance", False)
    events = [switch(True, 3), switch(False, 6), switch(True, 7)]
    request = replace(request_, stack=stack, null=BRANCHES["another text"], recipe=Recipe(guidance=recipe))
    steps, seen = watched(model, request, ScheduledControl(events))
    codes = level_0(steps)
    assert len(codes) == 10
    (conditional,) = model.full([with_frames(speech_inputs(request, request.sentences[0], 0), codes)])
    (null,) = model.full([with_frames(null_inputs(request, request.sentences[0], 0), codes)])
    for index in range(10):
        situation = seen[Place(0, "ar", 0, index)]
        assert torch.allclose(situation.logits[0], conditional[index], atol=1e-4)
        guided = 3 <= index < 6 or index >= 7
        assert (situation.rows.null is not None) == guided
        if situation.rows.null is not None:
            assert torch.allclose(situation.rows.null[0], null[index], atol=1e-4)
    again, _ = watched(model, request, ScheduledControl(events))
    for one, other in zip(steps, again, strict=True):
        assert np.array_equal(one.tokens, other.tokens)
        assert one.evidence is not None and other.evidence is not None
        assert np.array_equal(one.evidence.chosen, other.evidence.chosen)


def test_a_change_by_hand_adds_guidance_and_is_recorded(speak: Speak) -> None:
    event = Event("set", "guidance.scale", 3.0, Place(0, "ar", 0, 4))
    take = speak(ScheduledControl([event]))
    guided = [step.place for step in take.steps if step.null_evidence is not None]
    assert guided[0] == event.place and all(place.phase == "ar" for place in guided)
    assert take.steps[4].measures[1].stage == "guidance"
    assert codes_sha256(take.segments) == codes_sha256(speak(ScheduledControl(take.events)).segments)


def test_guidance_that_is_off_costs_no_pass_and_changes_no_bit(
    model: ArNar, speak: Speak, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows: list[int] = []

    def counted(name: str) -> Callable[..., Any]:
        original = getattr(model, name)

        def count(given: list[Inputs], *rest: Any) -> Any:
            rows.append(len(given))
            return original(given, *rest)

        return count

    for name in ("begin", "full"):
        monkeypatch.setattr(model, name, counted(name))
    plain = speak()
    neutral = {"name": "guidance", "scale": 1.0, "candidates": 3}
    lists = plain.request.stack.to_dict().items()
    stack = Stack.from_dict({key: [neutral, *stages] for key, stages in lists})
    idle = speak(stack=stack)
    off = speak(stack=stack.set("guidance.scale", 2.0).set("guidance.on", False))
    assert set(rows) == {1}
    for take in (idle, off):
        assert codes_sha256(take.segments) == codes_sha256(plain.segments)
        for one, other in zip(take.steps, plain.steps, strict=True):
            assert one.evidence is not None and other.evidence is not None
            assert np.array_equal(one.evidence.logsumexp, other.evidence.logsumexp)
            assert one.null_evidence is None


def test_the_token_that_was_taken_goes_to_both(model: ArNar, request_: Request) -> None:
    request = replace(request_, stack=GUIDED)
    forced = Event("force", value=5, place=Place(0, "ar", 0, 2))
    steps, seen = watched(model, request, ScheduledControl([forced]))
    codes = level_0(steps)
    assert codes[2] == 5
    (null,) = model.full([with_frames(null_inputs(request, request.sentences[0], 0), codes)])
    found = seen[Place(0, "ar", 0, 5)].rows.null
    assert found is not None and torch.allclose(found[0], null[5], atol=1e-4)


def test_a_cache_of_both_can_be_forked_where_both_made_steps(model: ArNar, request_: Request) -> None:
    sentence = request_.sentences[1]
    rows = [speech_inputs(request_, sentence, 0), null_inputs(request_, sentence, 0)]
    tokens = torch.tensor([7, 9, 11, 13, 17])
    first, _ = model.begin(rows[:1], 6)
    for token in tokens[:3]:
        model.advance(first, token[None])
    second, _ = model.begin([with_frames(rows[1], tokens[:3])], 3)
    both = first.beside(second)
    ahead = model.advance(both, tokens[3].expand(2))
    expected = [model.full([with_frames(row, tokens[:4])])[0][-1] for row in rows]
    assert torch.allclose(ahead, torch.stack(expected), atol=1e-4)
    fork = both.fork(3)
    assert torch.equal(model.advance(fork, tokens[3].expand(2)), ahead)
    alone = both.rows([0])
    assert alone.keep is None
    (whole,) = model.full([with_frames(rows[0], tokens)])
    assert torch.allclose(model.advance(alone, tokens[4:])[0], whole[-1], atol=1e-4)
    with pytest.raises(ValueError, match="one head"):
        both.beside(model.begin([Inputs(task="len", phonemes=tokens, language=0)], 2)[0])


def parity_request(stack: dict[str, Any], frames: int) -> tuple[ArNar, Request, dict[str, torch.Tensor]]:
    given = json.loads((PARITY / "inputs.json").read_text())["inputs"]
    request = Request(
        sentences=(Sentence("", "", tuple(given["PHN"])),),
        language="en",
        stack=Stack.from_dict(stack),
        seed=0,
        prompt=Prompt(np.array(given["PROM"], np.int16), ""),
        max_frames=frames,
    )
    return opening.load(PARITY / "model.sft").model, request, load_file(PARITY / "golden.safetensors")


@pytest.mark.parametrize("recipe", ["one batch", "two passes"])
def test_the_references_guided_greedy_speech(recipe: Any) -> None:
    guidance = {"name": "guidance", "scale": 2.0, "rescale": 0.75, "rescale_over": "sequence"}
    levels = {**guidance, "scale": 1.5, "rescale": 0.7}
    stack = {"ar": [guidance, {"name": "greedy"}], "nar": [levels, {"name": "greedy"}]}
    model, request, golden = parity_request(stack, 20)
    request = replace(request, max_levels=1, recipe=Recipe(guidance=recipe))
    steps, _ = watched(model, request)
    assert level_0(steps).tolist() == golden["greedy_ar_cfg2_rescale075"].tolist()
    codes = golden["greedy_nar_cfg1_5"].long()
    request = replace(request, max_levels=8)
    pair = Pair(
        speech_inputs(request, request.sentences[0], 0), null_inputs(request, request.sentences[0], 0)
    )
    run = Run(request, NoControl(), vocabulary=1025)
    made = [step.tokens for step in decode_nar(model, pair.given(codes[:, :1]), run, 0)]
    assert np.array_equal(np.stack(made, 1), codes[:, 1:].numpy())


def test_steps_with_branches_of_different_length_agree_between_recipes(
    model: ArNar, request_: Request
) -> None:
    request = replace(request_, null=NullBranch(OTHER_TEXT, "same"))
    sentence = request.sentences[0]
    pair = Pair(speech_inputs(request, sentence, 0), null_inputs(request, sentence, 0))
    assert len(OTHER_TEXT.ids) > len(sentence.ids)
    made = torch.randint(0, 1024, (8,), generator=torch.Generator().manual_seed(0))
    answers = []
    for recipe in (Recipe(), Recipe(guidance="two passes")):
        branches = StepByStep(model, pair, with_frames, 8, recipe)
        answers.append([branches.next(made[:step], guided=True) for step in range(8)])
    for one, other in zip(*answers, strict=True):
        assert one.null is not None and other.null is not None
        assert torch.allclose(one.conditional, other.conditional, atol=1e-4)
        assert torch.allclose(one.null, other.null, atol=1e-4)
