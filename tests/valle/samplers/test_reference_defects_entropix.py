"""What the reference gets wrong about entropix and is right here: one test for each defect, by number; and
that every defect with a counterpart here has a test."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from tests.valle.samplers.examples import NEVER, random_logits
from valle.decoding.attention import measured
from valle.samplers import Stack
from valle.samplers.functions.entropix import Draw, candidates
from valle.samplers.regions import REGIONS, regions
from valle.samplers.rows import AttentionMeasures, Rows
from valle.samplers.sampler import Decision, Sampler
from valle.samplers.stages import find

DEFAULTS = {item.name: item.default for item in find("entropix").parameters}
TESTS = Path(__file__).parents[1]

NO_COUNTERPART = {
    55: "a second sampling function that ignores most of its options: here one sampler serves every model",
}


def decided(logits: Tensor, *stages: dict[str, Any], **parameters: Any) -> Decision:
    """What entropix decides for rows without a past, behind other stages."""
    stack = Stack.from_dict({"ar": [*stages, {"name": "entropix", **parameters}]})
    count = len(logits)
    attention = AttentionMeasures(*(torch.zeros(count, 1) for _ in range(4)))
    past = torch.zeros(count, 1, dtype=torch.long)
    rows = Rows.of("ar", count, step=np.arange(count), past=past, stop=4, attention=attention)
    return Sampler(stack, "ar").decide(logits, rows)


def drawn_from(probabilities: list[float], **cuts: float) -> list[int]:
    """Which ids entropix draws from."""
    chance = {"temperature": 1.0, "top_p": 1.0, "top_k": 0.0, "min_p": 0.0} | cuts
    final = np.log(np.array([probabilities], np.float32))
    found = candidates(final, Draw(**{name: np.array([[value]]) for name, value in chance.items()}))
    return np.flatnonzero(np.isfinite(found[0])).tolist()


def attention_of(scores: Tensor) -> AttentionMeasures:
    """What scaled scores [layers, heads, keys] come to, for one row."""
    return AttentionMeasures(*(torch.from_numpy(part[None]) for part in measured(scores.numpy())))


def test_attention_that_looks_at_one_place_has_no_entropy() -> None:
    """Defect 32: it takes the softmax of probabilities, so that attention to one place looks spread out."""
    one_place = torch.zeros(1, 2, 30)
    one_place[..., 7] = 60.0
    assert float(attention_of(one_place).entropy) == pytest.approx(0.0, abs=1e-6)
    assert float(attention_of(torch.zeros(1, 2, 32)).entropy) == pytest.approx(5.0, abs=1e-5)


def test_the_interaction_is_not_a_constant_of_the_length() -> None:
    """Defect 33: of probabilities its mean is one over the length, whatever they are."""
    scores = random_logits(4, 30, 1).reshape(1, 4, 30)
    weak, strong = attention_of(scores), attention_of(3 * scores)
    assert float(strong.interaction) == pytest.approx(3 * float(weak.interaction), rel=1e-5)


def test_agreement_is_high_where_heads_agree() -> None:
    """Defect 34: what it calls agreement is how far the heads are apart."""
    alike = random_logits(1, 30, 2).expand(1, 4, 30)
    apart = torch.eye(4, 30)[None] * 50
    assert float(attention_of(alike).agreement) == pytest.approx(1.0, abs=1e-5)
    assert float(attention_of(apart).agreement) < 0.3


def test_a_sure_row_is_decided() -> None:
    """Defect 35: it looks for the best id along a dimension that a row does not have."""
    sure = torch.tensor([[0.0, 60.0, 0.0]])
    for count in (1, 3):
        assert decided(sure.expand(count, -1)).chosen.tolist() == [1] * count


def test_top_p_cuts_the_tail() -> None:
    """Defect 36: it adds up from the least likely, and cuts the head of flat rows."""
    assert drawn_from([0.1, 0.2, 0.3, 0.4], top_p=0.65) == [2, 3]
    assert drawn_from([0.01, 0.01, 0.01, 0.97], top_p=0.9) == [3]


def test_min_p_acts() -> None:
    """Defect 37: its min-p masks logits that nothing looks at again."""
    assert drawn_from([0.5, 0.3, 0.15, 0.05], min_p=0.4) == [0, 1]
    assert drawn_from([0.5, 0.3, 0.15, 0.05], min_p=0.4, top_k=3.0) == [0, 1]


def test_each_row_takes_the_best_of_its_own_draws() -> None:
    """Defect 38: its score adds up over all positions, so that rows decide for each other."""
    logits = random_logits(40, 12, 5)
    together = decided(logits)
    assert together.measures is not None
    entropy, varentropy = together.measures.entropy[0], together.measures.varentropy[0]
    between = regions(entropy, varentropy, DEFAULTS)
    assert REGIONS[int(np.bincount(between).argmax())] == "between"
    mixed = decided(torch.cat([logits, 9 * random_logits(40, 12, 6)]))
    assert mixed.chosen[:40].tolist() == together.chosen.tolist()


def test_what_a_person_asks_for_is_not_raised() -> None:
    """Defect 39: it raises a temperature of 0 to .5, and bounds other settings as silently."""
    logits = random_logits(60, 12, 7)
    assert decided(logits, temperature=0.0).chosen.tolist() == logits.argmax(-1).tolist()
    assert decided(logits, top_k=1).chosen.tolist() == logits.argmax(-1).tolist()
    stack = Stack.from_dict({"ar": [{"name": "entropix", "temperature": 0.0, "top_k": 1}]})
    assert stack.effective("ar")[0].parameters["temperature"] == 0.0


def test_bans_and_penalties_come_before_it() -> None:
    """Defect 40: it decides before bans, penalties and DRY have been asked."""
    logits = torch.tensor([[5.0, 4.9, 0.0, 0.0, 0.0]]).expand(80, -1)
    assert 0 in decided(logits).chosen
    for stage in (
        {"name": "ban_tokens", "ids": [0]},
        {"name": "repetition_penalty", "penalty": 9.0},
        {"name": "presence_penalty", "penalty": 10.0},
    ):
        assert 0 not in decided(logits, stage).chosen


def test_every_point_is_in_one_region() -> None:
    """Defect 41: between two thresholds of the entropy, much varentropy is taken for the wrong region."""
    found = [REGIONS[int(regions(entropy, 5.5, DEFAULTS))] for entropy in (2.9, 3.1, 4.9, 5.1)]
    assert found == ["forked", "lost", "lost", "lost"]


def test_attention_is_measured_in_bits_and_as_a_mean() -> None:
    """Defect 43: it mixes nats and bits, and takes sums for means."""
    two_places = torch.full((1, 3, 10), -90.0)
    two_places[..., :2] = 0.0
    of_three = attention_of(two_places.expand(5, 3, 10))
    assert of_three.over().entropy.tolist() == pytest.approx([1.0], abs=1e-5)
    assert of_three.over([0, 3]).entropy.tolist() == pytest.approx([1.0], abs=1e-5)


def test_a_row_with_banned_ids_is_decided() -> None:
    """Defect 42, in its chooser: the entropy of such a row is NaN there."""
    logits = torch.tensor([[1.0, 0.5, NEVER, NEVER]]).expand(50, -1)
    assert set(decided(logits).chosen) <= {0, 1}


def test_every_defect_with_a_counterpart_has_a_test() -> None:
    """Those that the reference's review counts, by the docstrings of the tests."""
    told: set[int] = set()
    for folder in ("samplers", "decoding"):
        for file in (TESTS / folder).glob("test_*.py"):
            found = re.findall(r'"""Defect (\d+)', file.read_text(encoding="utf-8"))
            told |= set(map(int, found))
    assert told | set(NO_COUNTERPART) == set(range(1, 57))
    assert not told & set(NO_COUNTERPART)
