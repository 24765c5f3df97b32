"""The loss is the cross entropy of what each row should answer."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from tests.valle.models.conftest import TINY, RowMaker
from valle.models.ar_nar import ArNar
from valle.models.base import Inputs

MASK = TINY.stop


def surprise(logits: torch.Tensor, targets: list[int]) -> list[float]:
    """Cross entropies in nats, one id at a time."""
    return [
        float(row.double().logsumexp(0) - row.double()[target])
        for row, target in zip(logits, targets, strict=True)
    ]


def expected(model: ArNar, row: Inputs) -> list[float]:
    logits = model.full([row])[0]
    if row.task == "tts" and row.level == 0:
        assert row.response is not None
        return surprise(logits, [*row.response[:, 0].tolist(), TINY.stop])
    if row.task == "tts":
        assert row.response is not None
        return surprise(logits, row.response[:, row.level].tolist())
    ids = {"len": row.digits, "stt": row.phonemes, "phn": row.phonemes, "un-phn": row.text}[row.task]
    assert ids is not None
    return surprise(logits[:-1], ids.tolist())


def test_every_row_of_a_mixed_batch(model: ArNar, mixed_rows: list[Inputs]) -> None:
    rows = [row for row in mixed_rows if not row.masked]
    losses = model.loss(rows)
    for index, row in enumerate(rows):
        wanted = expected(model, row)
        assert losses.counted[index].sum() == len(wanted)
        found = losses.cross_entropy[index, : len(wanted)].tolist()
        assert found == pytest.approx(wanted, abs=1e-4)
        assert not losses.cross_entropy[index, len(wanted) :].any()
    total = sum(sum(expected(model, row)) for row in rows)
    count = sum(len(expected(model, row)) for row in rows)
    assert losses.mean.item() == pytest.approx(total / count, abs=1e-4)


def test_correct_means_the_best_id_is_the_target(model: ArNar, make_row: RowMaker) -> None:
    row = make_row(frames=3, level=2)
    assert row.response is not None
    best = model.full([row])[0].argmax(-1)
    response = row.response.clone()
    response[:2, 2] = best[:2]
    response[2, 2] = (best[2] + 1) % 50
    assert model.loss([replace(row, response=response)]).correct.tolist() == [[True, True, False]]


def test_masked_rows_count_only_what_they_are_asked(model: ArNar, make_row: RowMaker) -> None:
    true = torch.tensor([5, 6, 7, 8])
    shown = torch.tensor([5, MASK, 7, MASK])[:, None]
    row = make_row(response=shown, masked=True)
    asked = torch.where(shown[:, 0] == MASK, true, -100)
    losses = model.loss([row], [asked])
    assert losses.counted.tolist() == [[False, True, False, True]]
    wanted = surprise(model.full([row])[0], true.tolist())
    assert losses.cross_entropy[0].tolist() == pytest.approx([0.0, wanted[1], 0.0, wanted[3]], abs=1e-4)
    with pytest.raises(ValueError, match="targets"):
        model.loss([row])


def test_a_row_without_its_answer(model: ArNar, make_row: RowMaker) -> None:
    with pytest.raises(ValueError, match="without its answer"):
        model.loss([make_row(response=None)])


@pytest.mark.parametrize("autocast", [False, True])
def test_training_steps_learn_a_batch(autocast: bool, mixed_rows: list[Inputs]) -> None:
    torch.manual_seed(0)
    model = ArNar(TINY)
    model.full(mixed_rows)  # what inference leaves behind must not stand in the way of training
    rows = [row for row in mixed_rows if not row.masked]
    optimiser = torch.optim.AdamW(model.parameters(), lr=3e-3)
    means = []
    for _ in range(12):
        with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
            loss = model.loss(rows).mean
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        means.append(loss.item())
    assert means[-1] < 0.8 * means[0]


def test_everything_that_is_used_gets_a_gradient(mixed_rows: list[Inputs]) -> None:
    torch.manual_seed(0)
    model = ArNar(TINY)
    rows = [row for row in mixed_rows if not row.masked]
    model.loss(rows).mean.backward()
    idle = {name for name, parameter in model.named_parameters() if parameter.grad is None}
    assert {"model.layers.0.self_attn.q_proj.weight", "sep", "classifiers.proj.0.weight"}.isdisjoint(idle)
    assert {"dropout_token", "tasks_emb.weight", "tones_emb.weight", "resps_emb.embeddings.8.weight"} <= idle


def test_an_observer_in_training_sees_queries_with_gradients(make_row: RowMaker) -> None:
    torch.manual_seed(0)
    model = ArNar(TINY)
    scores: list[torch.Tensor] = []

    class Guide:
        def attention(self, layer: int, query: torch.Tensor, key: torch.Tensor) -> None:
            scores.append((query @ key.transpose(2, 3)).float().mean())

    model.loss([make_row()], observer=Guide())
    sum(scores, torch.zeros(())).backward()
    first = model.model.layers[0].get_submodule("self_attn.q_proj").weight.grad
    assert first is not None
    assert isinstance(first, torch.Tensor) and first.abs().sum() > 0


def test_checks_are_the_same_alone_and_in_a_batch(model: ArNar, make_row: RowMaker) -> None:
    rows = [make_row(4, 6, 3), make_row(9, 2, 8), make_row(3, 3, 5, level=6)]
    together = model.loss(rows)
    for index, row in enumerate(rows):
        alone = model.loss([row]).cross_entropy[0]
        assert torch.allclose(together.cross_entropy[index, : len(alone)], alone, rtol=0.0, atol=1e-4)
