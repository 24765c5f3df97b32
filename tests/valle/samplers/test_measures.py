"""Measures, evidence and the table of candidates, against scipy and against values worked by hand."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import special, stats

from valle.samplers import Stack
from valle.samplers.candidates import candidates
from valle.samplers.evidence import collect
from valle.samplers.measures import entropies
from valle.samplers.rows import Rows
from valle.samplers.sampler import Sampler

GOLDEN = torch.tensor([[2.0, 1.0, 0.0, -1.0, -2.0]])


def sampler() -> Sampler:
    stages = [{"name": "temperature", "value": 0.5}, {"name": "top_k", "k": 3}, {"name": "draw"}]
    return Sampler(Stack.from_dict({"ar": stages}), "ar")


def test_golden_entropy_and_varentropy() -> None:
    measured = entropies(GOLDEN)
    assert float(measured["entropy"]) == pytest.approx(1.442656, abs=1e-5)
    assert float(measured["varentropy"]) == pytest.approx(1.560885, abs=1e-5)


@pytest.mark.parametrize("rows", [1, 5, 70])
def test_measures_agree_with_scipy_at_every_point(rows: int) -> None:
    logits = torch.randn(rows, 40, generator=torch.Generator().manual_seed(2)) * 4
    logits[0, 3:9] = float("-inf")
    decision = sampler().decide(logits, Rows.of("ar", rows, seed=1, step=np.arange(rows), stop=39))
    measures = decision.measures
    assert measures is not None and measures.points == ("raw", "temperature", "top_k")
    at = np.stack([logits.numpy(), logits.numpy() / 0.5, np.empty_like(logits)]).astype(np.float64)
    at[2] = np.where(at[1] >= np.sort(at[1])[:, -3:][:, :1], at[1], -np.inf)
    p = special.softmax(at, -1)
    surprisal = np.where(p > 0, -np.log2(np.where(p > 0, p, 1)), 0)
    assert measures.entropy == pytest.approx(stats.entropy(p, base=2, axis=-1), abs=1e-4)
    mean = (p * surprisal).sum(-1, keepdims=True)
    assert measures.varentropy == pytest.approx((p * (surprisal - mean) ** 2).sum(-1), abs=1e-3)
    assert measures.divergence == pytest.approx(stats.entropy(p, p[:1], base=2, axis=-1), abs=1e-4)
    assert measures.kept.tolist() == np.isfinite(at).sum(-1).tolist()
    removed = np.where(at[2] == -np.inf, p[1], 0).sum(-1)
    assert measures.removed == pytest.approx(np.stack([0 * removed, 0 * removed, removed]), abs=1e-5)
    chosen = decision.chosen[None, :, None]
    taken = np.take_along_axis(p, np.broadcast_to(chosen, (3, rows, 1)), -1)
    assert measures.probability == pytest.approx(taken[..., 0], abs=1e-6)
    assert measures.rank.tolist() == (p > taken).sum(-1).tolist()
    assert measures.stop == pytest.approx(p[..., 39], abs=1e-6)
    assert not any(
        np.isnan(getattr(measures, name)).any() for name in ("entropy", "varentropy", "divergence")
    )


def test_measures_only_at_the_ends_or_nowhere() -> None:
    rows = Rows.of("ar", seed=1)
    ends, everywhere = (sampler().decide(GOLDEN, rows, measure=at).measures for at in ("ends", "all"))  # type: ignore[arg-type]
    assert ends is not None and everywhere is not None and ends.points == ("raw", "final")
    assert ends.entropy[1] == everywhere.entropy[-1]
    assert ends.removed[1] == pytest.approx(1 - special.softmax(GOLDEN.numpy(), -1)[0, :3].sum(), abs=1e-6)
    assert sampler().decide(GOLDEN, rows, measure="none").measures is None
    assert np.isnan(ends.stop).all()


def test_a_token_that_cannot_be_taken_has_probability_0() -> None:
    forced = sampler().decide(GOLDEN, Rows.of("ar", stop=3), forced=torch.tensor([4])).measures
    assert forced is not None
    assert forced.probability[-1, 0] == 0.0 and forced.stop[-1, 0] == 0.0


def test_evidence_is_of_the_raw_logits() -> None:
    raw = torch.randn(3, 50, generator=torch.Generator().manual_seed(0))
    evidence = collect(raw, torch.tensor([4, 0, 49]))
    assert evidence.logsumexp == pytest.approx(special.logsumexp(raw.double().numpy(), -1), abs=1e-5)
    assert evidence.chosen.tolist() == [raw[0, 4], raw[1, 0], raw[2, 49]]
    order = np.argsort(-raw.numpy(), -1)[:, :8]
    assert evidence.best_ids.tolist() == order.tolist()
    assert evidence.best_logits.tolist() == np.take_along_axis(raw.numpy(), order, -1).tolist()
    many = collect(raw, torch.tensor([4, 0, 49]), best=0)
    assert many.best_ids.shape == (3, 0) and many.best_logits.shape == (3, 0)
    assert evidence.logsumexp.dtype == evidence.chosen.dtype == evidence.best_logits.dtype == np.float32


def test_candidates_show_every_point_of_one_row() -> None:
    logits = torch.cat((torch.zeros(1, 5), GOLDEN.flip(-1)))
    table = candidates(sampler(), logits, Rows.of("ar", 2), row=1, count=4)
    assert table.points == ("raw", "temperature", "top_k")
    assert table.ids.tolist() == [4, 3, 2, 1]
    assert table.raw == pytest.approx([0.636409, 0.234122, 0.086129, 0.031685], abs=1e-6)
    sharpened = np.exp([4.0, 2.0, 0.0])
    assert table.final == pytest.approx([*(sharpened / sharpened.sum()), 0.0], abs=1e-6)
    assert table.cumulative[-1] == pytest.approx(1.0) and table.cumulative[0] == table.final[0]
    assert table.logit[2, 3] == float("-inf") and table.logit[0, 3] == -1.0
