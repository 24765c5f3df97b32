"""Level 0 without all layers: drafts that change nothing, exits where the model is sure, and what is told."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from toy_model import toy_request

from valle.control import Control, Event, NoControl, ScheduledControl
from valle.decoding.early_exit import surety
from valle.decoding.run import Run
from valle.decoding.speech import decode_speech
from valle.early_exit import EarlyExit
from valle.errors import UserError
from valle.models.ar_nar import ArNar
from valle.models.config import ModelConfig
from valle.request import Recipe
from valle.samplers.stack import Stack
from valle.step import Place, Step
from valle.take import Take, assemble

Speak = Callable[..., Take]
GREEDY = Stack.from_dict({"ar": [{"name": "greedy"}], "nar": [{"name": "greedy"}]})


@pytest.fixture(scope="module")
def model() -> ArNar:
    """Four layers, of which the last two change little: early layers often draft what all of them decide."""
    torch.manual_seed(4)
    made = ArNar(ModelConfig(dim=32, layers=4, heads=2, ffn=64, languages=1))
    with torch.no_grad():
        for name, weight in made.named_parameters():
            if name.startswith("classifiers"):
                weight.mul_(40)
            elif ("layers.2" in name or "layers.3" in name) and name.endswith(
                ("o_proj.weight", "down_proj.weight")
            ):
                weight.mul_(3)
    return made.eval().requires_grad_(False)


@pytest.fixture
def speak(model: ArNar) -> Speak:
    def made(exits: EarlyExit | None = None, control: Control | None = None, **changes: Any) -> Take:
        changes = {"recipe": Recipe(early_exit=exits), "max_frames": 24, "max_levels": 2, **changes}
        request = replace(toy_request(7, "codec"), **changes)
        run = Run(request, control or NoControl(), vocabulary=model.config.stop + 1)
        return assemble(request, list(decode_speech(model, run, 0)))

    return made


def ar(take: Take) -> list[Step]:
    return [step for step in take.steps if step.place.phase == "ar"]


def tokens(take: Take) -> list[int]:
    return [int(step.tokens[0]) for step in ar(take) if len(step.tokens)]


@pytest.mark.parametrize("draft", [1, 4, 30])
@pytest.mark.parametrize("stack", [{}, {"stack": GREEDY}], ids=["drawn", "greedy"])
def test_drafts_change_no_token(speak: Speak, draft: int, stack: dict[str, Stack]) -> None:
    plain, drafted = speak(**stack), speak(EarlyExit(2, draft=draft), **stack)
    assert tokens(drafted) == tokens(plain) and len(tokens(plain)) > 20
    for one, other in zip(ar(plain), ar(drafted), strict=True):
        assert one.evidence is not None and other.evidence is not None
        assert np.allclose(one.evidence.logsumexp, other.evidence.logsumexp, atol=1e-4)
        assert (one.ended, other.exit_layer) == (other.ended, 0)
    outcomes = [step.drafted for step in ar(drafted)]
    assert outcomes[0] == 0, "the first frame of a segment has the prompt's pass"
    assert set(outcomes[1:24]) == {1, -1}
    for step in ar(plain):
        assert step.drafted == 0


def test_a_draft_that_is_decided_by_the_same_layers_is_always_taken(model: ArNar, speak: Speak) -> None:
    weights = {name: weight.clone() for name, weight in model.state_dict().items()}
    for name, weight in model.named_parameters():
        if ("layers.2" in name or "layers.3" in name) and name.endswith(
            ("o_proj.weight", "down_proj.weight")
        ):
            weight.zero_()
    taken = [step.drafted for step in ar(speak(EarlyExit(2, draft=5))) if step.place.step]
    model.load_state_dict(weights)
    assert set(taken) == {1}


def test_changes_in_the_middle_of_a_draft(speak: Speak) -> None:
    def at(step: int, kind: Any, name: str, value: Any) -> Event:
        return Event(kind, name, value, Place(0, "ar", 0, step))

    events = [
        at(3, "set", "temperature.value", 1.6),
        at(6, "set", "guidance.scale", 2.0),
        at(9, "force", "", 77),
        at(12, "switch", "guidance", False),
        at(15, "add", "repetition_penalty", {"penalty": 1.5}),
        at(19, "finish", "", None),
    ]
    plain = speak(None, ScheduledControl(events))
    drafted = speak(EarlyExit(1, draft=6), ScheduledControl(events))
    assert tokens(drafted) == tokens(plain)
    assert [step.null_evidence is not None for step in ar(drafted)] == [
        step.null_evidence is not None for step in ar(plain)
    ]
    assert drafted.segments[0].stop == "finish" and drafted.events == plain.events
    left = speak(EarlyExit(1, 10, 100), ScheduledControl(events))
    assert drafted.events == left.events and 77 in tokens(left)


def test_exits_are_where_the_measures_are_below_and_are_told(speak: Speak) -> None:
    never = speak(EarlyExit(1, 0.0, 0.0))
    assert tokens(never) == tokens(speak())
    assert {step.exit_layer for step in ar(never)} == {0}
    always = speak(EarlyExit(2, 1000, 1000))
    assert [step.exit_layer for step in ar(always)[:24]] == [0, *[2] * 23]
    assert tokens(always) != tokens(never)
    mixed = speak(EarlyExit(1, 3.0, 9.0))
    layers = {step.exit_layer for step in ar(mixed)[1:]}
    assert len(layers) > 1
    for step in ar(mixed)[1:]:
        raw = step.measures[0]
        sure = bool(raw.entropy[0] < 3.0 and raw.varentropy[0] < 9.0)
        assert sure or step.exit_layer == 0


def test_surety_is_that_of_the_formulas() -> None:
    torch.manual_seed(0)
    logits = torch.randn(64) * 3
    probability = logits.double().softmax(0)
    bits = -probability.log2()
    entropy = float((probability * bits).sum())
    assert surety(logits) == pytest.approx(
        (entropy, float((probability * (bits - entropy) ** 2).sum())), rel=1e-4
    )


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"layer": 0}, "exit layer must be from 1 to 1024, not 0"),
        ({"layer": 1, "entropy": -0.1}, "entropy threshold of early exit must be from 0 to 1000, not -0.1"),
        ({"layer": 1, "varentropy": float("nan")}, "varentropy threshold of early exit must be from 0"),
        ({"layer": 1, "draft": 65}, "tokens of a draft must be from 0 to 64, not 65"),
    ],
)
def test_settings_out_of_range(arguments: dict[str, Any], said: str) -> None:
    with pytest.raises(UserError, match=said):
        EarlyExit(**arguments)


def test_it_is_told_in_words() -> None:
    assert str(EarlyExit(4, 3.5, 9)) == "leaving from layer 4 on below 3.5 bits and 9 bits^2"
    assert str(EarlyExit(3, draft=2)) == "drafts of 2 by 3 layers, decided by all"


def test_what_does_not_go_together(speak: Speak) -> None:
    with pytest.raises(UserError, match=r"exit layer 4 leaves nothing out of a model of 4 layers; .* 1 to 3"):
        speak(EarlyExit(4))
    beam = Stack.from_dict({"ar": [{"name": "beam_search"}], "nar": [{"name": "greedy"}]})
    with pytest.raises(UserError, match="searches with all layers"):
        speak(EarlyExit(2), stack=beam)
