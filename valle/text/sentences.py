"""Long texts into the pieces that a model says one at a time."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from itertools import pairwise
from typing import Literal

from valle.text.dots import belongs_to_word

SplitBy = Literal["sentence", "line", "none"]
LONGEST_SENTENCE = 160
"""Characters spoken in one segment, about ten seconds of speech, where a model does not say how many."""

_END = re.compile(r"(?:[.!?…]+|[。！？]+)[\"'”’»)\]」』]*")
_CLAUSE_END = re.compile(r"[;:,—–，、；：][\"'”’»)\]]*(?=\s)|(?<=\s)[—–-]+(?=\s)|[，、；：]")
_WIDE = "。！？"


def split(text: str, by: SplitBy = "sentence", limit: int | None = None) -> list[str]:
    """The pieces of a text in order, white space at their ends removed and empty ones left out.

    `by`: at the ends of sentences (a blank line ends one, a single line break does not), at line breaks, or
    not at all. With a `limit` in characters longer pieces are cut on, into parts as even as may be, at clause
    marks, else between words, else inside a word. Punctuation alone is no piece, it stays with its neighbour,
    beyond the limit if need be. No character other than white space is lost.
    """
    if limit is not None and limit < 1:
        raise ValueError(f"limit is {limit}; it must be at least 1")
    if by == "sentence":
        pieces = [piece for part in re.split(r"\n\s*\n", text) for piece in _sentences(part)]
    else:
        pieces = text.splitlines() if by == "line" else [text]
    pieces = [" ".join(piece.split()) for piece in pieces]
    if limit is not None:
        pieces = [part for piece in pieces for part in _cut(piece, limit)]
    return _with_words([piece for piece in pieces if piece])


def _with_words(pieces: list[str]) -> list[str]:
    """The pieces, each without words joined to the one before it, at the start to the one after it."""
    joined: list[str] = []
    for piece in pieces:
        if joined and (_is_punctuation(piece) or _is_punctuation(joined[-1])):
            joined[-1] = f"{joined[-1]} {piece}"
        else:
            joined.append(piece)
    return joined


def _is_punctuation(piece: str) -> bool:
    return all(unicodedata.category(character)[0] in "PZ" for character in piece)


def _sentences(text: str) -> list[str]:
    starts = [0, *(match.end() for match in _END.finditer(text) if _ends_sentence(text, match)), len(text)]
    return [text[start:end] for start, end in pairwise(starts)]


def _ends_sentence(text: str, match: re.Match[str]) -> bool:
    """Whether these marks, with the quotes and brackets that close behind them, end a sentence."""
    marks, following = match.group(), text[match.end() :]
    if marks[0] in _WIDE:
        return True
    if following and not following[0].isspace():
        return False  # a decimal, an address, an abbreviation from inside
    next_character = following.lstrip()[:1]
    if marks == ".":
        return not belongs_to_word(text, match.start())
    if marks[0] == "…" or marks.startswith("..") or marks[-1] in "\"'”’»)]":
        return not next_character.islower()  # "Yes!" he said; well... perhaps
    return True


def _cut(piece: str, limit: int) -> list[str]:
    """A piece in as few parts of at most `limit` characters as can be, as even as marks and words allow."""
    parts = []
    while len(piece) > limit:
        place = _place_to_cut(piece, limit, len(piece) / -(-len(piece) // limit))
        parts.append(piece[:place].rstrip())
        piece = piece[place:].lstrip()
    return [*parts, piece]


def _place_to_cut(piece: str, limit: int, even: float) -> int:
    """After the clause mark that is nearest to `even`, unless it leaves a crumb; else at the nearest space in
    reach, if there is one, else at the limit."""

    def nearest(places: Iterable[int]) -> int | None:
        return min((place for place in places if place <= limit), key=lambda at: abs(at - even), default=None)

    clause_end = nearest(match.end() for match in _CLAUSE_END.finditer(piece, 0, limit + 1))
    if clause_end is not None and clause_end > limit // 4:
        return clause_end
    space = nearest(match.start() for match in re.finditer(" ", piece[: limit + 1]) if match.start())
    return limit if space is None else space
