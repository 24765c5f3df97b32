"""The bits of the noise are fixed for ever, and no two decisions share them unless they are meant to."""

from __future__ import annotations

import itertools
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from valle.samplers import Stack, noise
from valle.samplers.declaration import PHASES
from valle.samplers.rows import Rows
from valle.samplers.sampler import Sampler

MASK = 2**64 - 1

# A decision, its purpose and occurrence, the counter's words 1 to 3 worked out by hand, the first three bits.
VECTORS: list[tuple[dict[str, Any], str, int, tuple[int, int, int], list[int]]] = [
    (
        {"phase": "ar", "seed": 0},
        "choose",
        0,
        (0, 0, 0),
        [213000021201967259, 4455796210202625458, 2055444239878205049],
    ),
    (
        {"phase": "nar", "seed": MASK, "segment": 3, "hypothesis": 2, "level": 7, "position": 899},
        "choose",
        0,
        (899, 2 << 32, 3 << 32 | 1 << 8 | 7),
        [15261516746668351222, 17764089891515615191, 11621222598422972112],
    ),
    (
        {"phase": "nar_len", "seed": 7, "step": 24, "position": 11},
        "remask",
        1,
        (3 << 48 | 1 << 32 | 11, 24, 2 << 8),
        [6684096408622115729, 16574287827654273, 7198941724003436054],
    ),
    (
        {"phase": "ar", "seed": 42, "segment": 1, "hypothesis": 4, "step": 899},
        "redraw",
        2,
        (1 << 48 | 2 << 32, 4 << 32 | 899, 1 << 32),
        [8376494145410563462, 2554457743930474081, 7743993719142282732],
    ),
    (
        {"phase": "un_phn", "seed": 9, "segment": 2**32 - 1, "hypothesis": 2**32 - 1, "step": 5},
        "xtc",
        0,
        (2 << 48, (2**32 - 1) << 32 | 5, (2**32 - 1) << 32 | 6 << 8),
        [11727493287933822645, 13871363688045012399, 4057121808873099502],
    ),
]


def philox(seed: int, words: tuple[int, int, int], count: int) -> list[int]:
    """Philox 4x64-10 (Salmon et al. 2011) in whole numbers; numpy counts the block up before it makes one."""
    result: list[int] = []
    for block in itertools.count(1):
        counter, key = [block, *words], [seed, 0]
        for _ in range(10):
            low = 0xD2E7470EE14C6C93 * counter[0]
            high = 0xCA5A826395121157 * counter[2]
            counter = [
                (high >> 64) ^ counter[1] ^ key[0],
                high & MASK,
                (low >> 64) ^ counter[3] ^ key[1],
                low & MASK,
            ]
            key = [(key[0] + 0x9E3779B97F4A7C15) & MASK, (key[1] + 0xBB67AE8584CAA73B) & MASK]
        result += counter
        if len(result) >= count:
            return result[:count]
    raise AssertionError


@pytest.mark.parametrize(("decision", "purpose", "occurrence", "words", "bits"), VECTORS)
def test_stored_vectors(
    decision: dict[str, Any], purpose: str, occurrence: int, words: tuple[int, int, int], bits: list[int]
) -> None:
    rows = replace(Rows.of(**decision), occurrence=occurrence)
    uniform = rows.noise(purpose, 3)
    assert uniform.tolist() == [[((value >> 12) + 0.5) * 2.0**-52 for value in bits]]
    assert philox(decision["seed"], words, 3) == bits


def test_a_longer_row_agrees_with_philox_in_whole_numbers() -> None:
    expected = [((value >> 12) + 0.5) * 2.0**-52 for value in philox(5, (3, 9, 0), 1025)]
    assert Rows.of("ar", seed=5, step=9, position=3).noise("choose", 1025)[0].tolist() == expected


def test_uniforms_never_reach_an_end_and_gumbel_stays_finite() -> None:
    ends = np.array([((value >> 12) + 0.5) * 2.0**-52 for value in (0, MASK)])
    assert ends[0] > 0.0 and ends[1] < 1.0
    assert np.isfinite(noise.gumbel(ends)).all()


@given(st.permutations(range(5)))
def test_rows_do_not_see_each_other(order: list[int]) -> None:
    step = np.array([4, 900, 0, 17, 3])
    together = Rows.of("ar", 5, seed=3, step=step).noise("choose", 64)
    shuffled = Rows.of("ar", 5, seed=3, step=step[order]).noise("choose", 64)
    assert (together[order] == shuffled).all()
    alone = np.concatenate([Rows.of("ar", seed=3, step=int(at)).noise("choose", 64) for at in step])
    assert (together == alone).all()


def test_every_part_of_a_decision_gives_noise_of_its_own() -> None:
    base: dict[str, Any] = {"phase": "nar", "seed": 1}
    changes: list[dict[str, Any]] = [{}, {"seed": 0}, {"seed": 2}]
    changes += [{"phase": phase} for phase in PHASES if phase != "nar"]
    changes += [{name: 1} for name in ("segment", "hypothesis", "level", "step", "position")]
    rows = [Rows.of(**(base | change)) for change in changes]
    seen = [row.noise("choose", 32) for row in rows]
    seen += [rows[0].noise(purpose, 32) for purpose in noise.PURPOSES if purpose != "choose"]
    seen += [replace(rows[0], occurrence=1).noise("choose", 32)]
    assert len({tuple(row[0]) for row in seen}) == len(seen)


def test_takes_of_a_sheet_differ_by_their_seed_alone() -> None:
    sheet = Rows.of("ar", 3, seed=[5, 6, 7], take=[0, 1, 2]).noise("choose", 16)
    assert (Rows.of("ar", seed=6).noise("choose", 16)[0] == sheet[1]).all()
    assert not (sheet[0] == sheet[1]).any()


def test_a_part_that_does_not_fit_is_refused() -> None:
    for wrong in ({"step": 2**32}, {"position": -1}, {"level": 256}, {"segment": 2**32}, {"hypothesis": -1}):
        with pytest.raises(ValueError, match="must be below"):
            Rows.of("ar", **wrong).noise("choose", 4)


def test_editing_the_stack_changes_no_other_noise(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[str, int, bytes]] = []
    original = Rows.noise

    def listen(self: Rows, purpose: str, width: int, number: int = 0) -> Any:
        result = original(self, purpose, width, number)
        asked.append((purpose, self.occurrence, result.tobytes()))
        return result

    monkeypatch.setattr(Rows, "noise", listen)
    stack = Stack.from_dict({"ar": [{"name": "temperature", "value": 0.9}, {"name": "draw"}]})
    edits = [
        stack,
        stack.set("top_k.k", 5),
        stack.add("temperature", {"value": 2.0}, 0),
        stack.switch("temperature", False),
        stack.set("repetition_penalty.penalty", 1.3).move("repetition_penalty", 1),
    ]
    logits = torch.randn(1, 40, generator=torch.Generator().manual_seed(0))
    for edit in edits:
        Sampler(edit, "ar").decide(logits, Rows.of("ar", seed=8, step=3))
    assert len(asked) == len(edits) and len(set(asked)) == 1
