"""Words by the sound of a list."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from valle.errors import UserError
from valle.text.phonemes import Phonemizer, Versions
from valle.text.words import Words, edits, plain, sounds, word_list

WORDS = Words(
    {"the": "ðə", "old": "ˈoʊld", "house": "hˈaʊs", "in": "ɪn", "hows": "hˈaʊs", "window": "wˈɪndoʊ"}
)


@pytest.mark.parametrize(
    ("heard", "said"),
    [
        ("ðə ˈoʊld hˈaʊs.", "the old house"),
        ("ɪnðə hˌaʊs", "in the house"),  # run together, other stress
        ("wˈɪndəʊ", "window"),  # one vowel otherwise
        ("ðə gˈiːps", "the [gˈiːps]"),
        ("— ...", ""),
    ],
)
def test_a_string_of_phonemes_is_spelt(heard: str, said: str) -> None:
    assert WORDS.spell(heard) == said


@given(st.text("abc", max_size=6), st.text("abc", max_size=6))
def test_edits_are_a_distance(one: str, other: str) -> None:
    assert edits(one, other) == edits(other, one)
    assert (edits(one, other) == 0) == (one == other)
    assert abs(len(one) - len(other)) <= edits(one, other) <= max(len(one), len(other))


def test_edits_by_hand() -> None:
    assert (edits("kitten", "sitting"), edits("", "abc"), edits("abc", "ac")) == (3, 3, 1)


class Counting(Phonemizer):
    """Spells every word backwards, and counts how often it is asked."""

    def __init__(self) -> None:
        super().__init__("en")
        self.asked = 0

    def versions(self) -> Versions:
        return Versions("1", "2")

    def phonemize(self, text: str) -> str:
        self.asked += 1
        if text.strip(".") == "...":
            raise UserError("no sound")
        return ". ".join(word.strip(".")[::-1] for word in text.split()) + "."


def test_sounds_are_made_once(tmp_path: Path) -> None:
    phonemizer = Counting()
    first = sounds(("cat", "dog"), phonemizer, tmp_path)
    assert dict(first.phonemes) == {"cat": "tac", "dog": "god"}
    assert first.spell("god tac") == "dog cat"
    assert sounds(("cat", "dog"), phonemizer, tmp_path) == first and phonemizer.asked == 1
    (file,) = tmp_path.iterdir()
    file.write_text("damaged")
    assert sounds(("cat", "dog"), phonemizer, tmp_path) == first and phonemizer.asked == 2


def test_a_list_is_a_file_of_words(tmp_path: Path) -> None:
    file = tmp_path / "words.txt"
    file.write_text("house\n\nold\nhouse\n")
    assert word_list("en", file) == ("house", "old")
    with pytest.raises(UserError, match=r"nowhere\.txt cannot be read as a word list"):
        word_list("en", tmp_path / "nowhere.txt")


def test_stress_and_marks_are_not_heard() -> None:
    assert plain("ˈɔːl ɹˈaɪt, t͡ʃ!") == "ɔlɹaɪttʃ"
