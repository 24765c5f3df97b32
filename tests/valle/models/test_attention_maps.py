"""Where heads look: against weights computed by hand, and the way that reads along."""

from __future__ import annotations

import math
from dataclasses import replace
from itertools import product
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from valle.models.ar_nar import ArNar
from valle.models.arch.reading import Reading
from valle.models.attention_maps import AttentionTrack, best_heads, monotone_paths, monotony
from valle.models.base import Inputs
from valle.models.config import ModelConfig


@pytest.fixture(scope="module")
def model() -> ArNar:
    torch.manual_seed(1)
    return ArNar(ModelConfig(dim=32, layers=2, heads=2, ffn=64)).eval().requires_grad_(False)


def inputs() -> Inputs:
    codes = torch.arange(5 * 8).view(5, 8)
    return Inputs(phonemes=torch.tensor([1, 20, 31, 42, 2]), language=0, prompt=codes)


class Plain:
    """Softmax over the whole of every query and key, as attention is defined."""

    def __init__(self) -> None:
        self.weights: list[torch.Tensor] = []

    def attention(self, layer: int, query: torch.Tensor, key: torch.Tensor) -> None:
        scores = query[0] @ key[0].transpose(-1, -2) / math.sqrt(query.shape[-1])
        future = torch.ones(scores.shape[-2:]).triu(1).bool()
        self.weights.append(scores.masked_fill(future, -torch.inf).softmax(-1))


def test_a_pass_over_the_whole_gives_the_weights_of_each_decision(model: ArNar) -> None:
    row = replace(inputs(), response=torch.tensor([7, 8, 9])[:, None])
    (layout,) = model.layouts([inputs()], growing=True)
    track, plain = AttentionTrack(layout, first=4), Plain()
    model.full([row], track)
    model.full([row], plain)
    assert (len(track), track.layers, track.heads) == (4, 2, 2)
    first = layout.spans["response"].start - 1
    for layer in range(2):
        wanted = plain.weights[layer][:, first : first + 4]
        assert torch.allclose(track.weights(layer, 0, 4), wanted, atol=1e-6)
        assert torch.allclose(track.weights(layer, 2, 3), wanted[:, 2:3, : first + 3], atol=1e-6)
    spans = layout.spans
    text = plain.weights[1][:, first : first + 4, spans["phonemes"]]
    assert np.allclose(track.text(0, 4)[1], text, atol=1e-6)
    shares = track.shares(1, 3)
    assert shares.shape == (2, 2, 2, 3)
    assert np.allclose(shares[1, :, :, 0], text[:, 1:3].sum(-1), atol=1e-6)
    assert np.allclose(
        shares[1, :, :, 2], plain.weights[1][:, first + 1 : first + 3, first + 1 :].sum(-1), atol=1e-6
    )
    assert (shares.sum(-1) < 1).all(), "separators, language and level get the rest"
    looked = track.head(1, 0, 3)
    assert [len(looked[name]) for name in ("phonemes", "prompt", "response")] == [5, 5, 3]
    assert np.allclose(looked["prompt"], plain.weights[1][0, first + 3, spans["prompt"]], atol=1e-6)


def test_step_by_step_gives_the_same_and_touches_no_logit(model: ArNar) -> None:
    tokens = [7, 8, 9]
    (layout,) = model.layouts([inputs()], growing=True)
    track, whole = AttentionTrack(layout), AttentionTrack(layout, first=4)
    cache, logits = model.begin([inputs()], capacity=8, observer=track)
    plain_cache, plain_logits = model.begin([inputs()], capacity=8)
    for token in tokens:
        assert torch.equal(logits, plain_logits)
        logits = model.advance(cache, torch.tensor([token]), track)
        plain_logits = model.advance(plain_cache, torch.tensor([token]))
    assert torch.equal(logits, plain_logits)
    model.full([replace(inputs(), response=torch.tensor(tokens)[:, None])], whole)
    assert len(track) == 4
    assert np.allclose(track.text(0, 4), whole.text(0, 4), atol=1e-5)
    assert np.allclose(track.shares(0, 4), whole.shares(0, 4), atol=1e-5)


def test_of_a_head_that_reads_forward_it_is_what_it_is_held_to(monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(3)
    config = ModelConfig(dim=32, layers=3, heads=2, ffn=64, forward_attention=(1,))
    model = ArNar(config).eval().requires_grad_(False)
    for layer in model.model.layers:
        layer.self_attn.q_proj.weight.mul_(5)
    used: list[torch.Tensor] = []
    gather = Reading.gather

    def watched(self: Reading, layer: int, query: Any, key: Any, value: Any, seen: Any) -> torch.Tensor:
        # What is gathered of values that are a 1 each, in places of their own, are the weights.
        used.append(gather(self, layer, query, key, torch.eye(key.shape[1])[None], seen)[0])
        return gather(self, layer, query, key, value, seen)

    monkeypatch.setattr(Reading, "gather", watched)
    row = replace(inputs(), response=torch.tensor([7, 8, 9])[:, None])
    (layout,) = model.layouts([inputs()], growing=True)
    whole = AttentionTrack(layout, first=4)
    logits = model.full([row], whole)[0]
    first, text = layout.outputs.start, layout.spans["phonemes"]
    wanted = used[0][first:]
    assert torch.allclose(whole.weights(1, 0, 4)[0], wanted, atol=1e-5)
    assert torch.allclose(whole.weights(1, 2, 3)[0], wanted[2:3, : first + 3], atol=1e-5)
    asked = whole._asked(1, 0, 4)[0]
    assert not torch.allclose(asked[:, text], wanted[:, text], atol=0.02), "the head is held back here"
    assert torch.allclose(whole.weights(1, 0, 4)[1], whole._asked(1, 0, 4)[1]), "the other heads are not"

    track = AttentionTrack(layout)
    cache, answer = model.begin([inputs()], capacity=8, observer=track)
    for number, token in enumerate([7, 8, 9]):
        assert torch.allclose(
            track.weights(1, number, number + 1)[0],
            wanted[number : number + 1, : first + number + 1],
            atol=1e-5,
        )
        assert torch.allclose(answer[0], logits[number], atol=1e-4)
        answer = model.advance(cache, torch.tensor([token]), track)
    assert np.allclose(track.text(0, 4), whole.text(0, 4), atol=1e-5)


def test_in_a_padded_batch_the_first_row_is_looked_at(model: ArNar) -> None:
    short, longer = replace(inputs(), prompt=None), inputs()
    (layout,) = model.layouts([short], growing=True)
    alone, together = AttentionTrack(layout), AttentionTrack(layout)
    cache, _ = model.begin([short], capacity=4, observer=alone)
    both, _ = model.begin([short, longer], capacity=4, observer=together)
    model.advance(cache, torch.tensor([5]), alone)
    model.advance(both, torch.tensor([5, 5]), together)
    assert np.allclose(alone.text(0, 2), together.text(0, 2), atol=1e-5)
    assert alone.head(0, 0, 1)["prompt"].shape == (0,)


def test_the_best_way_of_small_maps_is_that_of_trying_all() -> None:
    for seed in range(20):
        weights = np.random.default_rng(seed).random((1, 6, 3)).astype(np.float32)
        ways = [w for w in product(range(3), repeat=6) if w[0] == 0 and set(np.diff(w)) <= {0, 1}]
        gathered = {way: sum(weights[0, row, column] for row, column in enumerate(way)) for way in ways}
        (path,), (mean,) = monotone_paths(weights)
        arriving = {way: value for way, value in gathered.items() if way[-1] == 2}
        assert tuple(path) == max(arriving, key=lambda way: arriving[way])
        assert mean == pytest.approx(max(arriving.values()) / 6, abs=1e-6)
        (path,), _ = monotone_paths(weights, whole=False)
        assert tuple(path) == max(gathered, key=lambda way: gathered[way])


@given(st.integers(1, 12), st.integers(1, 12), st.integers(0, 99))
def test_the_way_begins_at_the_first_column_and_arrives(rows: int, columns: int, seed: int) -> None:
    weights = np.random.default_rng(seed).random((2, rows, columns)).astype(np.float32)
    paths, _ = monotone_paths(weights)
    for path in paths:
        assert path[-1] == columns - 1 and (np.diff(path) >= 0).all()
        assert path[0] == 0 or rows == 1


def test_reading_along_is_told_from_staring_and_from_looking_everywhere() -> None:
    rows, columns = 40, 8
    along = np.zeros((rows, columns), np.float32)
    along[np.arange(rows), np.arange(rows) * columns // rows] = 0.6
    staring = np.zeros((rows, columns), np.float32)
    staring[:, 3] = 0.9
    everywhere = np.full((rows, columns), 1 / columns, np.float32)
    backwards = along[::-1]
    scores = monotony(np.stack([along, staring, everywhere, backwards]))
    assert scores[0] > 0.4 and (scores[1:] < 0.15).all()
    heads = best_heads(np.stack([staring, along, everywhere, backwards]).reshape(2, 2, rows, columns), 2)
    assert heads[0][:2] == (0, 1)
