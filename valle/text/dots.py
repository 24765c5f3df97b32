"""Which full stops end a sentence and which belong to a word ("Dr. Smith", "U.S. law", "No. 5")."""

from __future__ import annotations

import re


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


TITLES = _words("mr mrs ms dr prof st rev hon gen col capt lt sgt sen rep gov pres mt ft hr fr mme mlle sra")
"""Nearly always followed by a name, so their full stop ends no sentence."""

SHORTENED = _words(
    "etc vs approx dept est inc ltd co corp jr sr cf al ed eds vol pp ch sec min max tel ext ca bzw usw vgl "
    "ggf jan feb mar apr jun jul aug sep sept oct nov dec mon tue tues wed thu thur thurs fri sat sun"
)
"""Their full stop belongs to the word unless a capital follows."""

NUMBERED = _words("no nr fig figs p art eq ex nos")
"""Their full stop belongs to the word when a number follows."""

STARTERS = _words(
    "the a an i he she it we you they this that these those there here his her its our their my your "
    "in on at by for from with to but and or so if when while as not no yes what who why how where then"
)
"""Words that, with a capital after a dotted abbreviation, more likely begin a sentence than go on with it."""

_DOTTED = re.compile(r"(?:[^\W\d_]\.)+[^\W\d_]")


def belongs_to_word(text: str, place: int) -> bool:
    """Whether the full stop at `text[place]`, followed by white space, belongs to the word before it.

    A stop with nothing after it always ends a sentence. Decimals and ellipses are not this function's work.
    """
    following = text[place + 1 :].lstrip().lstrip("\"'“‘«([{")
    word = re.split(r"[\s\"'“‘«(\[{—]", text[:place])[-1]
    if not following or not word:
        return False
    next_word = re.match(r"\w*", following)
    begins = (next_word.group() if next_word else "").lower()
    lower, capital = word.lower(), following[0].isupper()
    if lower in TITLES:
        return following[0].isalnum()
    if lower in NUMBERED:
        return following[0].isdigit()
    if _DOTTED.fullmatch(word):
        return not (capital and begins in STARTERS)
    if lower in SHORTENED:
        return not capital
    return _is_initial(text, place, word) and capital and begins not in STARTERS


def _is_initial(text: str, place: int, word: str) -> bool:
    """A single capital that is part of a name: at a sentence start or after a capitalised word."""
    if len(word) != 1 or not word.isupper():
        return False
    before = text[: place - 1].split()
    return not before or before[-1][0].isupper() or before[-1][-1] in ".!?"
