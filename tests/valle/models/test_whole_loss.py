"""The losses over whole sequences and over segments, against cross entropies taken one by one."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch.nn import functional

from tests.valle.models.conftest import TINY, RowMaker
from valle.models.ar_nar import ArNar
from valle.models.losses import segment_loss, whole_loss

PLAIN = replace(TINY, audio_embedding_sums="none")


def logits_of(model: ArNar, row: object) -> torch.Tensor:
    """The row's head at every place."""
    (layout,) = model.layouts([row], growing=True)  # type: ignore[list-item]
    packed = model.pack([layout])
    hidden = model.model(packed.embeddings, packed.positions, packed.limit, packed.mask)
    return model.answer(layout.head, hidden[0])


def test_a_causal_row_foretells_its_whole_sequence(make_row: RowMaker) -> None:
    torch.manual_seed(1)
    model = ArNar(PLAIN).eval()
    row = make_row(5, 6, 4)
    logits = logits_of(model, row)
    assert row.phonemes is not None and row.response is not None and isinstance(row.prompt, torch.Tensor)
    ignored = [-100]
    sequence = [*row.phonemes, *ignored, 1, *ignored, 0, *ignored, *row.prompt[:, 0], *ignored]
    sequence = [int(item) for item in (*sequence, *row.response[:, 0], PLAIN.stop)]
    expected = functional.cross_entropy(logits, torch.tensor(sequence[1:]), ignore_index=-100)
    assert whole_loss(model, [row]).item() == pytest.approx(expected.item(), abs=1e-4)


def test_rows_count_alike_and_padding_not_at_all(model: ArNar, mixed_rows: list[object]) -> None:
    alone = torch.stack([whole_loss(model, [row]) for row in mixed_rows])  # type: ignore[list-item]
    together = whole_loss(model, mixed_rows)  # type: ignore[arg-type]
    assert together.item() == pytest.approx(alone.mean().item(), abs=1e-4)


def test_segments_have_factors(model: ArNar, make_row: RowMaker) -> None:
    row = make_row(5, 6, 4)
    output = model.loss([row]).mean.item()
    assert segment_loss(model, [row], {"response": 1.0}).item() == pytest.approx(output, abs=1e-4)
    assert row.phonemes is not None
    phonemes = functional.cross_entropy(logits_of(model, row)[:4], row.phonemes[1:]).item()
    both = segment_loss(model, [row], {"response": 0.5, "phonemes": 0.1}).item()
    assert both == pytest.approx(0.5 * output + 0.1 * phonemes, abs=1e-4)
    level = make_row(5, 6, 4, level=3)
    assert segment_loss(model, [level], {"response": 2.0}).item() == pytest.approx(
        2 * model.loss([level]).mean.item(), abs=1e-4
    )
    with pytest.raises(ValueError, match="no row has a segment text"):
        segment_loss(model, [row], {"text": 1.0})


def test_both_can_be_learnt_from(make_row: RowMaker) -> None:
    model = ArNar(PLAIN)
    row = make_row(5, 6, 4)
    (whole_loss(model, [row]) + segment_loss(model, [row], {"response": 1.0, "prompt": 0.1})).backward()
    assert model.sep.grad is not None and model.sep.grad.abs().sum() > 0
