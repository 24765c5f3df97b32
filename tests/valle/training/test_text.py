"""The text that the model learns from."""

from __future__ import annotations

from random import Random

import pytest

pytest.importorskip("wordfreq")

from valle.training.text import common_line, training_line, unseen_line, word_lists


def test_lines_are_a_function_of_the_seed() -> None:
    first = [training_line(Random(7)) for _ in range(3)]
    assert first == [training_line(Random(7)) for _ in range(3)]
    assert training_line(Random(8)) != first[0]


def test_training_never_has_the_words_that_are_held_out() -> None:
    known, held_out = word_lists()
    assert len(held_out) == 900
    assert not set(known) & set(held_out)
    random = Random(1)
    unseen = unseen_line(random).lower().rstrip(".").split()
    assert set(unseen) <= set(held_out)
    common = common_line(random).rstrip(".?").lower().split()
    assert not set(common) & set(held_out)


def test_lines_are_wide() -> None:
    random = Random(2)
    lines = [training_line(random) for _ in range(600)]
    lengths = {len(line.split()) for line in lines}
    assert {1, 2, 5, 10, 15} <= lengths
    text = " ".join(lines)
    assert text.count("?") > 20
    assert text.count(",") > 20
    assert sum(character.isdigit() for character in text) > 100
    known = set(word_lists()[0])
    words = [word.strip(".,;:?!").lower() for word in text.split()]
    assert 0.1 < sum(word not in known for word in words) / len(words) < 0.4
