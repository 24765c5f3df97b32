"""Sentence splitting: a table of cases, and what must hold for any text."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from valle.text.sentences import split

# Sentences are divided by |, which the text itself then lacks.
CASES = [
    "Hello world.",
    "Hello.| How are you?| Fine!",
    "No mark at the end",
    "Dr. Smith met Mr. Jones at St. Mary's.| They talked.",
    "It costs 3.14 dollars.| Or 2,000.5 in all.",
    "J. R. R. Tolkien wrote it.| George W. Bush did not.",
    "The U.S. Army came.| It left the U.S.| They stayed.",
    "We use tools, e.g. a saw, i.e. this one, etc. and more.",
    "It ends with etc.| Next one.",
    "See fig. 3 and No. 5 for this.| I said no.| Really.",
    "At 10 a.m. we left.| At 5 p.m. he came back.",
    'He said "Stop!" and left.| "Go."| Then',
    '"Is it you?" she asked.| "It is."| He nodded.',
    "Well... perhaps not.| Wait...| Now.",
    "And so… it goes.| So…| Then it went.",
    "What?!| No!!!| Yes.",
    "(It was late.)| He slept.",
    "Visit example.com today.| Or www.a.b.c now.",
    "Version 2.0 is out.| 3 people came.",
    "It was I.| He knew it.",
    "你好。|世界！|是吗？",
    "... And so it began.| It did. ... - !| Yes.",
    "...",
    "line one\ncontinues here.| Line two.",
    "A heading\n\n|The text under it.",
    "“Yes,” he said.| “No.”| She left.",
    "He lives on Main St. in town.| He is Jr. here.",
]


@pytest.mark.parametrize("case", CASES)
def test_sentences(case: str) -> None:
    expected = [" ".join(piece.split()) for piece in case.split("|")]
    assert split(case.replace("|", "")) == expected


def test_by_line_and_not_at_all() -> None:
    text = "One. Two.\n\n  Three\r\nfour. "
    assert split(text, "line") == ["One. Two.", "Three", "four."]
    assert split(text, "none") == ["One. Two. Three four."]
    assert split("", "none") == split(" \n", "line") == split("\n\n") == []


def test_long_sentences_are_cut_at_clauses_then_words_then_anywhere() -> None:
    assert split("one two three, four five six, seven", limit=30) == [
        "one two three,",
        "four five six, seven",
    ]
    assert split("a, bbbb cccc dddd eeee", limit=12) == ["a, bbbb cccc", "dddd eeee"]
    assert split("abcdefghij", limit=4) == ["abcd", "efgh", "ij"]
    even = split("one two three four five six seven eight", limit=30)
    assert even == ["one two three four", "five six seven eight"], "no crumb is left for the end"
    assert split("we - you and I - go on", limit=17) == ["we - you and I -", "go on"]
    assert split("3,000 of 5,000 people", limit=9) == ["3,000 of", "5,000", "people"]
    with pytest.raises(ValueError, match="limit"):
        split("a", limit=0)


@given(
    st.text(st.sampled_from("abC .,!?…\"'”()\n-—3。，") | st.characters(codec="utf-8"), max_size=200),
    st.sampled_from(["sentence", "line", "none"]),
    st.none() | st.integers(1, 40),
)
def test_nothing_is_lost_and_limits_hold(text: str, by: str, limit: int | None) -> None:
    pieces = split(text, by, limit)  # type: ignore[arg-type]
    assert "".join("".join(pieces).split()) == "".join(text.split())
    assert all(piece == piece.strip() and piece for piece in pieces)
    wordy = [piece for piece in pieces if any(unicodedata.category(c)[0] not in "PZ" for c in piece)]
    assert len(wordy) == len(pieces) or len(pieces) == 1
    assert limit is None or all(len(spoken(piece)) <= limit for piece in pieces)


def spoken(piece: str) -> str:
    """A piece without the punctuation words at its ends."""
    words = piece.split()
    loud = [any(unicodedata.category(c)[0] not in "PZ" for c in word) for word in words]
    return " ".join(words[loud.index(True) : len(words) - loud[::-1].index(True)]) if any(loud) else ""
