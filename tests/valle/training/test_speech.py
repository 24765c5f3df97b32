"""Shards of rendered utterances."""

from __future__ import annotations

import numpy as np

from valle.training.speech import RenderedShard, render_shard


def lines(shard: RenderedShard) -> list[bytes]:
    return [
        shard.ids[begin:end].tobytes()
        for begin, end in zip(shard.id_starts, shard.id_starts[1:], strict=False)
    ]


def test_a_line_is_said_by_as_many_voices_as_asked_for() -> None:
    shard = render_shard(6, 5, voices=2)
    assert len(shard.speakers) == 6
    said: dict[bytes, set[int]] = {}
    for line, speaker in zip(lines(shard), shard.speakers, strict=True):
        said.setdefault(line, set()).add(int(speaker))
    assert max(len(speakers) for speakers in said.values()) == 2
    assert sum(len(speakers) == 2 for speakers in said.values()) >= 2, "but for voices too fast or too slow"


def test_who_says_what_how_fast_is_a_function_of_the_seed() -> None:
    first, second, other = (render_shard(2, seed) for seed in (3, 3, 4))
    assert np.array_equal(first.speakers, second.speakers)
    assert np.array_equal(first.rates, second.rates)
    assert lines(first) == lines(second) != lines(other)
