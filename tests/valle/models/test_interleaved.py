"""Codebooks in turn: where each id stands, what embeds it, and that steps give what one pass gives."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from valle.abilities import able_lists, check_able, default_mode, modes_of
from valle.control import NoControl
from valle.decoding.run import Run
from valle.decoding.speech import decode_speech
from valle.errors import UserError
from valle.models.ar import Interleaved
from valle.models.base import Inputs
from valle.models.choice import model_of
from valle.models.config import ModelConfig
from valle.request import Request, Sentence
from valle.samplers.stack import Stack
from valle.take import assemble

TINY = ModelConfig(dim=24, layers=2, heads=2, ffn=40, audio_tokens=50, phoneme_tokens=20)
CONFIG = replace(TINY, capabilities=("ar",), interleave=True, audio_embedding_sums="none")


@pytest.fixture(scope="module")
def interleaved() -> Interleaved:
    torch.manual_seed(2)
    model = model_of(CONFIG).eval()
    assert isinstance(model, Interleaved)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "norm" not in name:
                parameter.normal_(0.0, 0.3)
    return model


def codes(frames: int) -> torch.Tensor:
    return torch.randint(0, 50, (frames, 8), generator=torch.Generator().manual_seed(frames))


def row(response: torch.Tensor | None = None) -> Inputs:
    return Inputs(phonemes=torch.tensor([1, 5, 7, 2]), language=1, prompt=codes(5), response=response)


def test_each_id_has_the_table_of_its_codebook(interleaved: Interleaved) -> None:
    given = codes(3)
    (layout,) = interleaved.layouts([row(given)])
    assert list(layout.spans) == ["phonemes", "language", "prompt", "response"]
    assert layout.length == 4 + 1 + 1 + 1 + 5 + 1 + 24
    assert layout.positions[-24:].tolist() == list(range(24))
    embedded = interleaved.pack([layout]).embeddings[0, -24:]
    expected = [interleaved.resps_emb.weight(place % 8)[given[place // 8, place % 8]] for place in range(24)]
    assert torch.equal(embedded, torch.stack(expected))


@pytest.mark.parametrize("begun", [0, 8, 11])
def test_steps_are_one_pass(interleaved: Interleaved, begun: int) -> None:
    flat = codes(3).reshape(-1)
    (whole,) = interleaved.full([row(flat[:, None])])
    cache, logits = interleaved.begin([row(flat[:begun, None])], 24)
    assert torch.allclose(logits[0], whole[begun], atol=1e-4)
    for place in range(begun, 24):
        logits = interleaved.advance(cache, flat[place : place + 1])
        assert torch.allclose(logits[0], whole[place + 1], atol=1e-4)


def test_rows_go_on_with_the_same_codebook(interleaved: Interleaved) -> None:
    flat = codes(2).reshape(-1, 1)
    with pytest.raises(ValueError, match="same codebook"):
        interleaved.begin([row(flat[:3]), row(flat[:4])], 2)


def test_the_loss_is_of_every_id_and_the_stop(interleaved: Interleaved) -> None:
    losses = interleaved.loss([row(codes(3))])
    assert losses.counted.sum() == 25
    (logits,) = interleaved.full([row(codes(3))])
    wanted = torch.cat([codes(3).reshape(-1), torch.tensor([CONFIG.stop])])
    assert torch.allclose(losses.mean, torch.nn.functional.cross_entropy(logits, wanted), atol=1e-4)


def test_a_take_has_all_levels(interleaved: Interleaved) -> None:
    request = Request(
        sentences=(Sentence("One.", "", (1, 5, 7, 2)),),
        language="en",
        stack=Stack.from_dict({"ar": [{"name": "ban_tokens", "ids": [50]}, {"name": "greedy"}]}),
        seed=0,
        mode="interleaved",
        max_frames=3,
    )
    run = Run(request, NoControl(), vocabulary=51)
    take = assemble(request, list(decode_speech(interleaved, run, 0)))
    assert take.segments[0].codes().shape == (3, 8) and take.stop == "length"
    written = np.concatenate([step.tokens for step in take.steps])
    assert np.array_equal(take.segments[0].codes().reshape(-1), written)


def test_other_numbers_of_codebooks_are_refused() -> None:
    config = replace(CONFIG, audio_levels=4)
    stack = Stack.from_dict({"ar": [{"name": "greedy"}]})
    request = Request((Sentence("", "", (1, 2)),), "en", stack, 0, mode="interleaved")
    assert modes_of(config) == ()
    with pytest.raises(
        UserError, match="model small has no task tts in mode interleaved: it lacks 8 codebooks"
    ):
        check_able(config, request, "small")
    check_able(CONFIG, request, "usual")


def test_what_cannot_be_computed_is_refused() -> None:
    with pytest.raises(UserError, match="audio_embedding_sums is 'both'"):
        model_of(replace(CONFIG, audio_embedding_sums="both"))


@pytest.mark.parametrize(
    ("changes", "modes"),
    [
        ({}, ("ar+nar", "nar-len", "ar+nar-len", "nar")),
        ({"capabilities": ("ar", "nar")}, ("ar+nar", "nar")),
        ({"capabilities": ("nar", "len")}, ("nar-len", "nar")),
        ({"capabilities": ("nar",)}, ("nar",)),
        ({"capabilities": ("ar",)}, ("ar+nar",)),
        ({"capabilities": ("ar",), "interleave": True}, ("interleaved",)),
    ],
)
def test_capabilities_choose_the_modes(changes: dict[str, object], modes: tuple[str, ...]) -> None:
    config: ModelConfig = replace(TINY, **changes)  # type: ignore[arg-type]
    assert modes_of(config) == modes
    assert default_mode(config) == modes[0]


def test_a_model_has_no_list_of_stages_for_what_it_cannot_do() -> None:
    lists = dict.fromkeys(("ar", "nar", "nar.3", "nar_len", "len", "stt"))
    assert list(able_lists(TINY, lists)) == list(lists)
    assert list(able_lists(replace(TINY, capabilities=("ar", "len")), lists)) == ["ar", "len", "stt"]
