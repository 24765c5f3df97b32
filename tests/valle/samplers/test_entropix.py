"""Entropix: its regions, what it makes of them, and its draws, against cases worked by hand."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from tests.valle.samplers.examples import NEVER, random_logits
from valle.samplers import Stack, StackError, find
from valle.samplers.functions.entropix import Draw, Seen, candidates, steered
from valle.samplers.lint import lint
from valle.samplers.presets import find_preset
from valle.samplers.regions import REGIONS, region_of, regions
from valle.samplers.rows import AttentionMeasures, Rows
from valle.samplers.sampler import Sampler
from valle.step import StageMeasures

DEFAULTS = {item.name: item.default for item in find("entropix").parameters}


def attention(count: int, layers: int = 2) -> AttentionMeasures:
    """Entropy 2, varentropy 1, agreement 0.75, interaction 1.2, on average over the layers."""
    spread = torch.linspace(0.5, 1.5, layers)
    return AttentionMeasures(*(value * spread.expand(count, -1) for value in (2.0, 1.0, 0.75, 1.2)))


def decide(logits: Tensor, rows: Rows | None = None, **parameters: Any) -> Any:
    stack = Stack.from_dict({"ar": [{"name": "entropix", **parameters}]})
    known = rows or Rows.of("ar", len(logits), step=np.arange(len(logits)))
    return Sampler(stack, "ar").decide(logits, replace(known, attention=attention(len(logits))))


def region(entropy: float, varentropy: float, **parameters: Any) -> str:
    return REGIONS[int(regions(entropy, varentropy, DEFAULTS | parameters))]


@pytest.mark.parametrize(
    ("entropy", "varentropy", "name"),
    [
        (0.05, 0.05, "sure"),
        (0.1, 0.05, "between"),
        (5.1, 0.05, "even"),
        (5.0, 0.05, "between"),
        (2.0, 5.1, "forked"),
        (3.0, 5.1, "forked"),
        (4.0, 5.1, "lost"),
        (6.0, 9.0, "lost"),
        (6.0, 5.0, "between"),
        (0.05, 3.0, "between"),
    ],
)
def test_regions_by_the_published_thresholds(entropy: float, varentropy: float, name: str) -> None:
    assert region(entropy, varentropy) == name


numbers = st.floats(0, 12)


@given(numbers, numbers, numbers, numbers, numbers, numbers, numbers)
def test_regions_share_no_point(h: float, v: float, a: float, b: float, c: float, d: float, e: float) -> None:
    """Whatever the thresholds: each region by its definition alone, and at most one of them holds."""
    low, high, low_spread, high_spread = min(a, b), max(a, b), min(c, d), max(c, d)
    even, uneven = v < low_spread, v > high_spread
    holds = {
        "sure": even and h < low,
        "even": even and h > high,
        "forked": uneven and h <= e,
        "lost": uneven and h > e,
    }
    thresholds = {"low_entropy": low, "medium_entropy": e, "high_entropy": high}
    found = region(h, v, **thresholds, low_varentropy=low_spread, high_varentropy=high_spread)
    assert sum(holds.values()) <= 1
    assert found == next((name for name, held in holds.items() if held), "between")


def seen(entropy: float, varentropy: float) -> Seen:
    return Seen(*(np.array([[value]]) for value in (entropy, varentropy, 2.0, 1.0, 0.75, 1.2)))


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("sure", (0.666, 0.9, 27, 0.03)),
        ("even", (0.666 * (1.3 + 0.2 * 2), 0.9, 27, 0.03)),
        ("forked", (0.666 * (1.2 + 0.3 * 1.2), 0.9, 30, 0.03)),
        ("lost", (2.0, 0.5, 27, 0.03)),
        ("between", (0.666 * (1 + 0.3 * 2.4375 + 0.2 * 3 - 0.2 * 0.75), 0.99, 33, 0.01)),
    ],
)
def test_what_attention_makes_of_a_region(name: str, expected: tuple[float, ...]) -> None:
    """At entropy 1.75 and varentropy 0.6875; attention as above. 27 x 1.125 = 30.4, 27 x 1.21 = 32.7."""
    number = np.array([[REGIONS.index(name)]], np.int8)
    chance = steered(seen(1.75, 0.6875), number, DEFAULTS)
    found = (chance.temperature, chance.top_p, chance.top_k, chance.min_p)
    assert [float(part[0, 0]) for part in found] == pytest.approx(expected, abs=1e-6)


def test_what_a_person_asks_for_holds() -> None:
    for number in range(len(REGIONS)):
        at = np.array([[number]], np.int8)
        asked = DEFAULTS | {"temperature": 0.0, "top_p": 0.2, "top_k": 0, "min_p": 0.0}
        chance = steered(seen(6.0, 6.0), at, asked)
        assert (
            float(chance.temperature[0, 0]) == float(chance.top_k[0, 0]) == float(chance.min_p[0, 0]) == 0.0
        )
        assert float(chance.top_p[0, 0]) <= 0.2 * 1.1
    hot = steered(seen(6.0, 6.0), np.array([[3]], np.int8), DEFAULTS | {"temperature": 1.332})
    assert float(hot.temperature[0, 0]) == pytest.approx(4.0)


def test_candidates_are_cut_after_the_temperature() -> None:
    """.4 .3 .2 .1 at a temperature of one half are 16 9 4 1 parts of 30."""
    final = np.log(np.array([[0.4, 0.3, 0.2, 0.1]], np.float32))

    def left(**cuts: float) -> list[int]:
        whole = {"temperature": 0.5, "top_p": 1.0, "top_k": 0.0, "min_p": 0.0}
        chance = {name: np.array([[value]]) for name, value in (whole | cuts).items()}
        return np.flatnonzero(np.isfinite(candidates(final, Draw(**chance))[0])).tolist()

    assert left() == [0, 1, 2, 3]
    assert left(min_p=0.24) == [0, 1, 2]
    assert left(min_p=0.26) == [0, 1]
    assert left(top_p=0.8) == [0, 1]
    assert left(top_p=0.84) == [0, 1, 2]
    assert left(top_k=3) == [0, 1, 2]
    # With the ids that min-p has cut away, 16 of 25 parts reach .6.
    assert left(min_p=0.26, top_p=0.6) == [0]


def two_ids(count: int) -> Tensor:
    """Entropy 1 bit and no varentropy; id 2 cannot be taken."""
    return torch.tensor([[0.0, 0.0, NEVER]]).expand(count, -1)


def test_a_sure_row_takes_the_best_and_an_even_one_draws() -> None:
    sure = decide(two_ids(50), low_entropy=1.5)
    assert set(sure.chosen) == {0} and set(sure.runner_up) == {1}
    even = decide(two_ids(600), high_entropy=0.9, low_entropy=0.5)
    assert 240 < int(even.chosen.sum()) < 360
    assert even.log_probability == pytest.approx(np.log(0.5))


def test_in_between_the_most_likely_of_five_is_taken() -> None:
    """At what is drawn from, the worse of two ids is taken only where five draws all give it."""
    logits = torch.tensor([[0.0, -1.0]]).expand(4000, -1)
    whole: dict[str, Any] = {"top_p": 1.0, "top_k": 0, "min_p": 0.0}
    one, five = decide(logits, draws=1, **whole), decide(logits, draws=5, **whole)
    at_one = float(one.chosen.mean())
    assert 0.2 < at_one < 0.5
    assert float(five.chosen.mean()) == pytest.approx(at_one**5, abs=0.01)
    assert ((five.chosen == 0) | (one.chosen == 1)).all()
    # The first draw of both has the same noise; the likelier of two ids has no better rival.
    assert float(five.margin[five.runner_up == 1].min()) == pytest.approx(1.0, abs=1e-5)


def test_five_draws_of_all_ids_are_five_of_the_distribution() -> None:
    logits = random_logits(1, 8, 3).expand(3000, -1)
    share = decide(logits, draws=1, temperature=0.5, top_p=1.0, top_k=0, min_p=0.0)
    counts = np.bincount(share.chosen, minlength=8)
    entropy, varentropy = share.measures.entropy[0][0], share.measures.varentropy[0][0]
    assert region(entropy, varentropy) == "between"
    factor = 1 + 0.3 * (entropy + varentropy) + 0.2 * 3 - 0.2 * 0.75
    expected = (logits[0] / (0.5 * factor)).softmax(-1).numpy() * 3000
    often = expected > 5
    assert (((counts - expected) ** 2 / expected)[often]).sum() < 30


def test_rows_are_decided_alone_as_together_and_twice_the_same() -> None:
    logits = torch.cat((random_logits(6, 40, 5) * 2, torch.zeros(1, 40), random_logits(1, 40) * 40))
    together = decide(logits)
    again = decide(logits)
    assert np.array_equal(together.chosen, again.chosen) and np.array_equal(together.margin, again.margin)
    for row in range(len(logits)):
        alone = decide(logits[row : row + 1], Rows.of("ar", step=row))
        assert alone.chosen[0] == together.chosen[row]
        assert alone.log_probability[0] == pytest.approx(together.log_probability[row], abs=1e-6)
    different = decide(logits[:6].repeat(20, 1), Rows.of("ar", 120, step=np.arange(120), seed=9))
    assert len(set(different.chosen)) > 6


def test_a_temperature_of_0_is_greedy_in_every_region() -> None:
    logits = torch.cat((random_logits(9, 50, 7), random_logits(3, 50, 8) * 30))
    assert np.array_equal(decide(logits, temperature=0.0).chosen, logits.argmax(-1).numpy())


@pytest.mark.parametrize("scale", [0.0, 1e-6, 1e3])
def test_rows_at_the_limits_are_decided(scale: float) -> None:
    logits = torch.cat((torch.full((1, 40), NEVER), random_logits(3, 40) * scale))
    logits[0, 7] = 1.0
    logits[1, :39] = NEVER
    found = decide(logits)
    assert found.chosen[:2].tolist() == [7, 39]
    assert np.isfinite(found.log_probability).all() and not np.isnan(found.margin).any()


def test_regions_are_measured_on_the_raw_logits_or_on_what_enters() -> None:
    """Sure before the temperature, even after it."""
    logits = torch.tensor([[9.0, 0.0, 0.0, 0.0]]).expand(200, -1)
    flat = [{"name": "temperature", "value": 5.0}]

    def spread(of: str) -> int:
        chooser = {"name": "entropix", "of": of, "temperature": 2.0, "top_p": 1.0, "min_p": 0.0}
        stack = Stack.from_dict({"ar": [*flat, chooser]})
        rows = Rows.of("ar", 200, step=np.arange(200), attention=attention(200))
        return len(set(Sampler(stack, "ar").decide(logits, rows).chosen))

    assert spread("raw") == 1 and spread("here") > 1


def test_a_timeline_finds_the_regions_in_the_measures() -> None:
    def point(entropy: list[float], varentropy: list[float]) -> StageMeasures:
        count, share = np.ones(2, np.int16), np.zeros(2, np.float32)
        measured = np.array(entropy), np.array(varentropy)
        return StageMeasures("raw", count, share, *measured, share, count, share, share)

    measures = (point([0.0, 6.0], [0.0, 6.0]), point([6.0, 2.0], [0.0, 6.0]))
    assert region_of(measures, DEFAULTS) == ("sure", "lost")
    assert region_of(measures, DEFAULTS | {"of": "here"}) == ("even", "forked")


def test_without_attention_or_with_a_layer_too_many_it_says_so() -> None:
    sampler = Sampler(Stack.from_dict({"ar": [{"name": "entropix", "layers": [0, 5]}]}), "ar")
    with pytest.raises(StackError, match="attention of the model"):
        sampler.decide(torch.zeros(1, 4), Rows.of("ar"))
    with pytest.raises(StackError, match="no layer 5: the model has 2"):
        sampler.decide(torch.zeros(1, 4), Rows.of("ar", attention=attention(1)))
    for phase in ("nar", "nar_len"):
        with pytest.raises(StackError, match="one pass"):
            Stack.from_dict({phase: [{"name": "entropix"}]})


def remarks(*stages: dict[str, Any]) -> list[str]:
    return [remark.text for remark in lint(Stack.from_dict({"ar": list(stages)}))]


def test_what_is_odd_about_it() -> None:
    assert remarks({"name": "entropix"}) == []
    assert "lowered" in remarks({"name": "entropix", "low_entropy": 6.0})[0]
    (none,) = remarks({"name": "entropix", "low_varentropy": 0.0})
    assert "none is even" in none
    (guided,) = remarks({"name": "guidance", "scale": 2.0}, {"name": "entropix"})
    assert "before guidance" in guided and "of = here" in guided
    assert remarks({"name": "guidance", "scale": 2.0}, {"name": "entropix", "of": "here"}) == []
    (twice,) = remarks({"name": "temperature", "value": 1.2}, {"name": "entropix"})
    assert "temperature" in twice
    assert remarks({"name": "entropix", "medium_entropy": 0.0}) != []


def test_the_preset_is_the_stage() -> None:
    assert find_preset("entropix").stack.to_dict() == {"ar": [{"name": "entropix"}]}
