"""Byte-pair encoding over a table of symbols, and the merges that such a table tells by itself.

A published table has 281 strings on 256 ids, so that several strings share one: pairs are therefore merged by
id, as the library `tokenizers` does, and "ɸɹ" merges like "pɹ" where ɸ and p are one id.
Source: Sennrich et al. 2016, arXiv 1508.07909.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise

Merge = tuple[str, str]
Ranks = Mapping[tuple[int, int], tuple[int, int]]
"""Pair of ids to the rank of its merge, the lowest being first, and the id that it makes."""


def ranks_of(merges: Iterable[Merge], table: Mapping[str, int]) -> Ranks:
    """The merges by id; of two of the same ids the later one counts. KeyError for an unknown string."""
    return {
        (table[left], table[right]): (rank, table[left + right]) for rank, (left, right) in enumerate(merges)
    }


def merged(ids: Sequence[int], ranks: Ranks) -> list[int]:
    """Merge neighbours until none can be: the lowest rank first, the leftmost of several."""
    left = list(ids)
    while len(left) > 1:
        found = [
            (*ranks[pair], place)
            for place in range(len(left) - 1)
            if (pair := (left[place], left[place + 1])) in ranks
        ]
        if not found:
            break
        _, made, place = min(found, key=lambda each: (each[0], each[2]))
        left[place : place + 2] = [made]
    return left


def derive(table: Mapping[str, int], specials: Iterable[str]) -> tuple[Merge, ...] | None:
    """The merges that made the strings of a table, or None where they do not follow from it.

    A table gives its merged strings their ids in the order in which they were learned. What was learned as
    the n-th is the one pair that is left of its characters after the merges before it; a string of which
    another number of pieces is left, or two merged strings on one id, do not tell how they came about.
    """
    left_out = frozenset(specials)
    symbols = {symbol: index for symbol, index in table.items() if symbol not in left_out}
    learned = sorted((symbol for symbol in symbols if len(symbol) > 1), key=symbols.__getitem__)
    if len({symbols[symbol] for symbol in learned}) < len(learned):
        return None
    merges: dict[Merge, int] = {}
    for symbol in learned:
        if any(character not in symbols for character in symbol):
            return None
        pieces = list(symbol)
        while len(pieces) > 1:
            pairs = list(pairwise(pieces))
            best = min(pairs, key=lambda pair: merges.get(pair, len(merges)))
            if best not in merges:
                break
            place = pairs.index(best)
            pieces[place : place + 2] = ["".join(best)]
        if len(pieces) != 2:
            return None
        merges[pieces[0], pieces[1]] = len(merges)
    return tuple(merges)
