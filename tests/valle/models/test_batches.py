"""A padded batch equals single rows, whatever it mixes; dtypes; the observer."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from tests.valle.models.conftest import TINY, RowMaker
from valle.models.ar_nar import ArNar
from valle.models.base import Inputs


class Recorder:
    """Keeps the shapes of what it sees."""

    def __init__(self) -> None:
        self.shapes: list[tuple[int, ...]] = []

    def attention(self, layer: int, query: Tensor, key: Tensor) -> None:
        self.shapes.append((layer, *query.shape, key.shape[2]))


def test_mixed_batch_equals_single_rows(model: ArNar, mixed_rows: list[Inputs]) -> None:
    for row, batched in zip(mixed_rows, model.full(mixed_rows), strict=True):
        alone = model.full([row])[0]
        assert batched.shape == alone.shape
        assert torch.allclose(batched, alone, rtol=0.0, atol=1e-4)


def test_what_is_padded_does_not_matter(model: ArNar, make_row: RowMaker) -> None:
    short, long = make_row(3, 2, 2, level=4), make_row(9, 9, 9, level=4)
    other = make_row(9, 9, 9, level=4)
    one, two = model.full([short, long])[0], model.full([short, other])[0]
    assert torch.allclose(one, two, rtol=0.0, atol=1e-6)


@pytest.mark.parametrize("split", [True, False])
def test_shapes_of_the_logits(split: bool, mixed_rows: list[Inputs]) -> None:
    torch.manual_seed(0)
    config = replace(TINY, split_classifiers=split)
    model = ArNar(config)
    sizes = config.head_sizes()
    for row, layout, logits in zip(
        mixed_rows, model.layouts(mixed_rows), model.full(mixed_rows), strict=True
    ):
        assert logits.dtype == torch.float32
        output = [*layout.spans.values()][-1]
        count = output.stop - output.start
        expected = sizes[layout.head] if split else config.vocabulary
        assert logits.shape == (count if row.level or row.masked else count + 1, expected)


def test_bfloat16_stays_close_and_answers_in_float32(mixed_rows: list[Inputs]) -> None:
    torch.manual_seed(0)
    model = ArNar(TINY)
    exact = model.full(mixed_rows)
    model.to(torch.bfloat16)
    for rough, logits in zip(model.full(mixed_rows), exact, strict=True):
        assert rough.dtype == torch.float32
        assert float((rough - logits).abs().max()) < 0.05 * float(logits.abs().max())
    cache, logits = model.begin([mixed_rows[0], mixed_rows[1]], 2)
    assert cache.state.keys.dtype == torch.bfloat16
    again = model.advance(cache, torch.tensor([1, 2]))
    assert again.dtype == logits.dtype == torch.float32
    assert again.isfinite().all()


def test_bfloat16_steps_follow_the_full_pass(make_row: RowMaker) -> None:
    torch.manual_seed(0)
    model = ArNar(TINY).to(torch.bfloat16)
    row = make_row(response=None)
    cache, _ = model.begin([row], 1)
    stepped = model.advance(cache, torch.tensor([7]))
    full = model.full([replace(row, response=torch.tensor([[7]]))])[0][-1]
    assert float((stepped[0] - full).abs().max()) < 0.05 * float(full.abs().max())


@pytest.mark.parametrize("attention", ["eager", "math", "sdpa"])
def test_an_observer_changes_no_bit(attention: str, mixed_rows: list[Inputs], make_row: RowMaker) -> None:
    torch.manual_seed(0)
    model = ArNar(replace(TINY, attention=attention))
    seen = Recorder()
    for plain, watched in zip(model.full(mixed_rows), model.full(mixed_rows, seen), strict=True):
        assert torch.equal(plain, watched)
    width = max(layout.length for layout in model.layouts(mixed_rows))
    assert seen.shapes == [(layer, len(mixed_rows), 2, width, 12, width) for layer in range(2)]

    row = make_row(response=None)
    plain_cache, _ = model.begin([row], 1)
    watched_cache, _ = model.begin([row], 1)
    stepped = Recorder()
    token = torch.tensor([3])
    assert torch.equal(model.advance(plain_cache, token), model.advance(watched_cache, token, stepped))
    keys = model.layouts([row])[0].length + 1
    assert stepped.shapes == [(layer, 1, 2, 1, 12, keys) for layer in range(2)]


def test_backends_agree(mixed_rows: list[Inputs]) -> None:
    torch.manual_seed(0)
    models = [ArNar(replace(TINY, attention=name)) for name in ("eager", "math", "sdpa", "auto")]
    for model in models[1:]:
        model.load_state_dict(models[0].state_dict())
    answers = [model.full(mixed_rows) for model in models]
    for others in answers[1:]:
        for one, other in zip(answers[0], others, strict=True):
            assert torch.allclose(one, other, rtol=0.0, atol=1e-4)
